"""The options of the OAuth 2.0 flow, all faults at once, and what it needs installed (RU-08)."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import flask
import pytest

import xwms_auth
import xwms_auth.asgi
import xwms_auth.flask
from tests.oauth2.local_as import token_page
from tests.oauth2.steps import code_of
from tests.tools.site import FROM_HERE, HTTPS_URI, PROGRAM, Site
from xwms_auth import ConfigError, XWMSConfig

ISSUER = "https://id.example.org"
CLIENT = {
    "client_id": "id",
    "client_secret": "secret",
    "redirect_uris": HTTPS_URI,
    "session_secret": "r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3",
}
OAUTH = {**CLIENT, "flow": "oauth2", "issuer": ISSUER}
ENDPOINTS = {
    "authorization_endpoint": f"{ISSUER}/a",
    "token_endpoint": f"{ISSUER}/t",
    "userinfo_endpoint": f"{ISSUER}/u",
    "jwks_uri": f"{ISSUER}/k",
}


def problems(**options: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        XWMSConfig(**{**OAUTH, **options})
    return raised.value.problems


def test_sl_08_the_issuer_is_the_one_of_the_flow():
    """SL-08"""
    assert XWMSConfig(**OAUTH).issuer == ISSUER
    assert XWMSConfig(**{**OAUTH, "flow": "sign-token"}).issuer == "https://xwms.nl/api/"
    assert XWMSConfig(**CLIENT).issuer == "https://xwms.nl/api/"


# What an API's address says, a name for it, and whether that counts.
NAMES = [
    ("https://xwms.nl/api/", "https://xwms.nl", True),
    ("https://xwms.nl/api/", "https://accounts.xwms.nl", False),
    ("https://xwms.nl/api/", "https://xwms.nl:8443", False),
    ("https://xwms.nl/test/", "https://xwms.nl/api/", False),  # of a config that was copied to another XWMS
    ("https://sandbox.xwms.nl/", "https://xwms.nl", False),
    ("https://xwms.nl/api/", "https://id.example.org", False),
    ("https://xwms.nl/api/", "https://evil-xwms.nl", False),
    ("https://xwms.nl/api/", "https://nl", False),
    ("https://xwms.nl/api/", "http://127.0.0.1:8800", False),
    ("http://127.0.0.1:8811/api/", "http://127.0.0.1:8800", True),
    ("http://127.0.0.1:8811/api/", "http://localhost/people", False),
    ("http://127.0.0.1:8811/api/", "https://xwms.nl/api/", False),
]


@pytest.mark.parametrize(("api_url", "name", "counts"), NAMES)
def test_sl_08_with_sign_token_an_issuer_is_a_name_of_the_same_xwms(api_url, name, counts):
    """SL-08: people of a local XWMS, or of another server, must not become those of the real one."""
    config = XWMSConfig(**CLIENT, api_url=api_url, issuer=name)
    assert config.issuer == (name if counts else api_url)
    assert config.unused_issuer == ("" if counts else name)
    assert dataclasses.replace(config, login_path="/signin").issuer == config.issuer


def test_sl_08_a_name_that_cannot_be_one_is_a_fault_with_sign_token_too():
    """SL-08"""
    for name in ("xwms", "http://xwms.nl", "https://xwms.nl?x", "https://xwms.nl/" + "a" * 255):
        told = problems(flow="sign-token", issuer=name)
        assert [problem for problem in told if problem.startswith("XWMS_ISSUER (issuer)")] == list(told), name


def test_scopes_with_commas_between_them_are_a_fault_that_says_so():
    for scopes in ("openid,profile", "openid, profile"):
        assert problems(scopes=scopes) == ("XWMS_SCOPES (scopes) is separated by commas; write spaces between scopes",)
    assert XWMSConfig(**OAUTH, scopes=["openid", "a,b"]).scopes == ("openid", "a,b")


def test_a_discovery_url_goes_with_an_issuer_and_without_endpoints():
    url = f"{ISSUER}/elsewhere"
    assert XWMSConfig(**OAUTH, discovery_url=url).discovery_url == url
    assert any("XWMS_DISCOVERY_URL" in problem for problem in problems(**ENDPOINTS, discovery_url=url))
    assert any("XWMS_ISSUER" in problem for problem in problems(issuer="", discovery_url=url))
    for wrong in ("http://localhost/x", "elsewhere", "http://id.example.org/x"):
        assert any("XWMS_DISCOVERY_URL" in problem for problem in problems(discovery_url=wrong)), wrong


def test_one_variable_changes_the_flow():
    environ = {
        "XWMS_CLIENT_ID": "id",
        "XWMS_CLIENT_SECRET": "secret",
        "XWMS_REDIRECT_URI": HTTPS_URI,
        "XWMS_ISSUER": ISSUER,
        "XWMS_SCOPES": "openid email",
    }
    assert XWMSConfig.from_env(environ).flow == "sign-token"
    config = XWMSConfig.from_env({**environ, "XWMS_FLOW": "oauth2"})
    assert (config.flow, config.issuer, config.scopes) == ("oauth2", ISSUER, ("openid", "email"))


NO_ISSUERS: list[object] = [
    "", "id.example.org", "http://id.example.org", "https://id.example.org?x", "https://id.example.org#x",
    "https://user@id.example.org", "https://ID.example.org", "https://id.example.org:443", " https://id.example.org",
    5, None, b"https://id.example.org",
]  # fmt: skip


def test_an_issuer_that_can_be_none_is_a_fault():
    for issuer in NO_ISSUERS:
        assert any("XWMS_ISSUER" in problem for problem in problems(issuer=issuer)), issuer


def test_an_issuer_is_taken_to_the_byte():
    for issuer in ("http://127.0.0.1:8800", "http://localhost:8800/oauth", f"{ISSUER}/", f"{ISSUER}/a"):
        assert XWMSConfig(**{**OAUTH, "issuer": issuer}).issuer == issuer


def test_whoever_names_one_endpoint_names_all_that_a_login_needs():
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        named = {other: value for other, value in ENDPOINTS.items() if other != name}
        assert [problem for problem in problems(**named) if name in problem], name


COMPLETING = ("userinfo_endpoint", "revocation_endpoint", "introspection_endpoint", "end_session_endpoint")


@pytest.mark.parametrize("name", COMPLETING)
def test_a_single_endpoint_beside_an_issuer_completes_its_document(name):
    config = XWMSConfig(**OAUTH, **{name: f"{ISSUER}/named"})
    assert config.metadata is None
    assert config.named_endpoints == ((name, f"{ISSUER}/named"),)
    assert dataclasses.replace(config, login_path="/signin").named_endpoints == config.named_endpoints
    assert any("XWMS_ISSUER" in problem for problem in problems(issuer="", **{name: f"{ISSUER}/named"}))
    for wrong in ("http://127.0.0.1/named", "named", "http://id.example.org/x", 5):
        assert any(name in problem for problem in problems(**{name: wrong})), wrong


def test_an_endpoint_may_be_missing_that_no_login_needs():
    named = {**ENDPOINTS, "userinfo_endpoint": ""}
    assert XWMSConfig(**{**OAUTH, **named}).metadata is not None
    plain = {**ENDPOINTS, "jwks_uri": "", "scopes": "profile"}
    assert XWMSConfig(**{**OAUTH, **plain}).metadata is not None


def test_openid_with_named_endpoints_needs_the_issuer_too():
    assert any("XWMS_ISSUER" in problem for problem in problems(**ENDPOINTS, issuer=""))


def test_plain_oauth_without_an_issuer_tells_people_apart_by_where_they_were_sent():
    config = XWMSConfig(**{**OAUTH, **ENDPOINTS, "issuer": "", "scopes": "profile"})
    assert config.issuer == ISSUER
    assert dataclasses.replace(config, login_path="/signin").issuer == ISSUER


def test_a_copy_with_other_endpoints_does_not_keep_the_issuer_that_followed_from_the_old_ones():
    """Account confusion: the people of one server would be those of the other."""
    config = XWMSConfig(**{**OAUTH, **ENDPOINTS, "issuer": "", "scopes": "profile"})
    other = {name: url.replace(ISSUER, "https://other.example") for name, url in ENDPOINTS.items()}
    assert dataclasses.replace(config, **other).issuer == "https://other.example"
    named = dataclasses.replace(config, issuer=ISSUER)
    assert dataclasses.replace(named, **other).issuer == ISSUER


def test_a_copy_with_another_flow_does_not_take_the_address_of_the_api_for_an_issuer():
    config = XWMSConfig(**CLIENT, api_url="https://xwms.nl/api/")
    with pytest.raises(ConfigError, match=r"XWMS_ISSUER .* is missing"):
        dataclasses.replace(config, flow="oauth2")


def test_a_wrong_option_is_a_fault_that_names_it():
    for name, given in (
        ("token_endpoint", "http://id.example.org/t"),
        ("token_endpoint", "/t"),
        ("end_session_endpoint", "https://id.example.org/e#x"),
        ("revocation_endpoint", "https://*.example.org/"),
        ("scopes", 'openid "x"'),
        ("scopes", ("openid email",)),
        ("scopes", ("openid", 5)),
        ("client_auth", "private_key_jwt"),
        ("client_auth", "none"),
        ("flow", "oauth"),
    ):
        assert any(name in problem for problem in problems(**{**ENDPOINTS, name: given})), (name, given)


def test_all_faults_are_told_at_once():
    told = problems(issuer="x", scopes='"', client_auth="none", jwks_uri="y", login_path="z")
    for name in ("issuer", "scopes", "client_auth", "jwks_uri", "login_path"):
        assert any(name in problem for problem in told)


# --- one redirect URI, one flow ---


async def nothing(scope, receive, send):
    raise AssertionError("not asked")


def test_ru_08_two_flows_do_not_share_a_redirect_uri():
    """RU-08: a middleware inside another, each with a flow of its own (RFC 9700 4.4.2.2)."""
    other = XWMSConfig(**{**CLIENT, "redirect_uris": "https://app.example/oauth/callback", "flow": "sign-token"})
    for outer, inner in ((OAUTH, CLIENT), (CLIENT, OAUTH)):
        within = xwms_auth.asgi.XWMSAuthMiddleware(nothing, XWMSConfig(**inner))
        with pytest.raises(ConfigError, match="another flow"):
            xwms_auth.asgi.XWMSAuthMiddleware(within, XWMSConfig(**outer))
    xwms_auth.asgi.XWMSAuthMiddleware(xwms_auth.asgi.XWMSAuthMiddleware(nothing, other), XWMSConfig(**OAUTH))


def test_ru_08_a_flask_application_has_one_flow():
    """RU-08"""
    app = flask.Flask(__name__)
    xwms_auth.flask.XWMSAuth(app, XWMSConfig(**OAUTH))
    with pytest.raises(ConfigError, match="twice"):
        xwms_auth.flask.XWMSAuth(app, XWMSConfig(**CLIENT))


# --- what is installed and loaded ---

ROOT = Path(xwms_auth.__file__).parents[1]
LOGIN = """
import sys, flask, xwms_auth.flask
from xwms_auth import XWMSConfig, ConfigError
options = dict(client_id="id", client_secret="s", redirect_uris="https://app.example/cb",
               session_secret="r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3", api_url="http://127.0.0.1:9/api/")
def start(**more):
    app = flask.Flask("app")
    xwms_auth.flask.XWMSAuth(app, XWMSConfig(**options, **more))
    return app.test_client().get("/xwms/auth", headers={"Sec-Fetch-Site": "none"}).status_code
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", LOGIN + code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout


def test_sign_token_loads_nothing_of_authlib():
    told = run("print(start()); print(sorted({m.partition('.')[0] for m in sys.modules} & {'authlib', 'joserfc'}))")
    assert told.split() == ["503", "[]"]


@pytest.mark.parametrize("package", ["authlib", "joserfc"])
def test_without_the_extra_sign_token_works_and_oauth2_says_what_to_install(package):
    told = run(
        f"""
sys.modules[{package!r}] = None
print(start())
try:
    start(flow="oauth2", issuer="https://id.example.org")
except ConfigError as error:
    print(error)
"""
    )
    assert told.startswith("503")
    assert "pip install 'xwms-auth[oauth2]'" in told


@pytest.mark.parametrize("kind", ["page", "program"])
def test_an_access_token_of_xwmss_own_login_is_a_fault_of_the_settings_and_no_reason_to_log_in_again(
    edge, make_fx, kind
):
    """A login would succeed, and end on the same page without a token, again and again."""
    site = token_page(Site(edge, make_fx(), debug=True))
    browser = site.browser()
    browser.log_in()
    answer = browser.get("/token", PROGRAM if kind == "program" else FROM_HERE)
    assert code_of(answer) == (500, "config")
    assert "which has no access tokens" in answer.text
    assert browser.who() == "xwms-user-1234"
