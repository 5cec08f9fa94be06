"""The local XWMS as the server of mod_auth_openidc, a certified relying party in front of a page of Apache's."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import httpx2
import pytest

from tests.matrix.environments import CannotBeHad, tool
from tests.matrix.running import next_port, process, wait_until_answering
from tests.oauth2.local_as import LocalAS
from tests.oauth2.test_backchannel_delivery import delivered
from tests.tools.clock import Clock
from tests.tools.requires import missing
from xwms_auth.sandbox import SandboxServer, SandboxSettings

MODULES = Path("/usr/lib/apache2/modules")
SECRET = "a-secret-of-forty-characters-0123456789"
CONFIGURATION = """
ServerRoot {folder}
PidFile {folder}/httpd.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/apache.log
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule headers_module {modules}/mod_headers.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
DocumentRoot {folder}/pages
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID sandbox-client
OIDCClientSecret {secret}
OIDCRedirectURI {origin}/private/callback
OIDCCryptoPassphrase for-tests
OIDCScope "openid profile email offline_access"
OIDCAuthRequestParams prompt=consent
OIDCPKCEMethod S256
OIDCProviderTokenEndpointAuth client_secret_basic
OIDCInfoHook access_token id_token userinfo refresh_token
<Location /private>
    AuthType openid-connect
    Require valid-user
    Header set X-Person "%{{OIDC_CLAIM_sub}}e"
</Location>
"""


class Apache:
    """A page at `/private/`, for people who have signed in at `local`."""

    def __init__(self, origin: str, local: LocalAS) -> None:
        self.origin, self.local = origin, local

    def browser(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.origin, timeout=20)

    def log_in(self, browser: httpx2.Client, sub: str = "1001") -> None:
        query = self.local.consent(browser.get("/private/").headers["location"], sub)
        back = browser.get(f"/private/callback?{urlencode(query)}")
        assert (back.status_code, back.headers["location"]) == (302, f"{self.origin}/private/")
        assert self.who(browser) == sub

    def who(self, browser: httpx2.Client) -> str | None:
        page = browser.get("/private/")
        return str(page.headers["x-person"]) if page.status_code == 200 else None

    def info(self, browser: httpx2.Client) -> dict[str, str]:
        """What it knows about the session: the claims, and the tokens."""
        known: dict[str, str] = browser.get("/private/callback", params={"info": "json"}).json()
        return known


@pytest.fixture
def apache() -> Iterator[Apache]:
    try:
        server = tool("apache2")
    except CannotBeHad as reason:
        missing(str(reason))
    if not (MODULES / "mod_auth_openidc.so").exists():
        missing("mod_auth_openidc (Debian's libapache2-mod-auth-openidc)")
    origin = f"http://127.0.0.1:{(port := next_port())}"
    local = LocalAS(Clock())
    local.settings = SandboxSettings(
        domain="127.0.0.1", redirect_uris=(f"{origin}/private/callback",), client_secret=SECRET
    )
    local.server = SandboxServer(local.settings, port=0)
    # Its workers are another user, who may not read what pytest makes.
    with local, TemporaryDirectory(prefix="apache-") as kept:
        folder = Path(kept)
        folder.chmod(0o755)
        (folder / "pages" / "private").mkdir(parents=True)
        (folder / "pages" / "index.html").write_text("everybody's")
        (folder / "pages" / "private" / "index.html").write_text("a person's")
        names = {"folder": folder, "port": port, "origin": origin, "modules": MODULES, "secret": SECRET}
        (folder / "apache.conf").write_text(CONFIGURATION.format(**names, issuer=local.server.url))
        argv = [server, "-f", str(folder / "apache.conf"), "-D", "FOREGROUND"]
        with process(argv, log=folder / "out.log", environ=os.environ, folder=folder) as started:
            running = Apache(origin, local)
            with running.browser() as browser:
                wait_until_answering(browser, "/", [started])
            yield running


def test_a_person_logs_in_and_has_the_claims_of_userinfo(apache):
    with apache.browser() as browser:
        assert apache.who(browser) is None
        apache.log_in(browser)
        known = apache.info(browser)
    assert known["id_token"]["sub"] == known["userinfo"]["sub"] == "1001"
    assert known["userinfo"]["name"] == "Anna de Vries"


def test_its_tokens_are_refreshed(apache):
    with apache.browser() as browser:
        apache.log_in(browser)
        old = apache.info(browser)["access_token"]
        asked = {"refresh": f"{apache.origin}/private/", "access_token": old}
        assert browser.get("/private/callback", params=asked).headers["location"] == f"{apache.origin}/private/"
        new = apache.info(browser)["access_token"]
    assert new != old
    assert apache.local.is_active(new)


def test_a_logout_ends_the_login_at_the_server_too_and_leads_back(apache):
    with apache.browser() as browser:
        apache.log_in(browser)
        token = apache.info(browser)["access_token"]
        leaves = browser.get("/private/callback", params={"logout": f"{apache.origin}/"})
        assert leaves.headers["location"].startswith(f"{apache.local.server.url}/oauth/logout?")
        assert apache.who(browser) is None
        assert apache.local.http.get(leaves.headers["location"]).headers["location"] == f"{apache.origin}/"
    assert not apache.local.is_active(token)


def test_a_logout_at_the_server_ends_its_session(apache):
    apache.local.click(
        "/clients/1/backchannel-logout", backchannel_logout_uri=f"{apache.origin}/private/callback?logout=backchannel"
    )
    with apache.browser() as browser, apache.browser() as other:
        apache.log_in(browser)
        apache.log_in(other, "1003")
        assert apache.local.click("/clients/1/users/1/log-out").status_code == 200
        deadline = time.monotonic() + 20
        while not delivered(apache.local):
            assert time.monotonic() < deadline
        assert delivered(apache.local) == [200]
        assert apache.who(browser) is None
        assert apache.who(other) == "1003"
