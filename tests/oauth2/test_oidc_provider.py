"""The whole story at a certified OpenID provider, panva's oidc-provider on Node: nothing here was made to fit us.

It demands PKCE of every client, sends `iss` (RFC 9207), signs with RS256, and has profile claims at userinfo only.
The person is played at its own pages over HTTP. `npm ci --prefix tests/oauth2` installs it.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urljoin, urlsplit

import httpx2
import pytest

from tests.oauth2.local_as import token_page
from tests.oauth2.steps import asked, begin, code_of, come_back
from tests.tools.requires import missing, program
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, HTTPS_URI, PROGRAM, Site

HERE = Path(__file__).parent
CLIENT_ID, SECRET = "support-desk+1", "a-secret:with/odd=characters&more%+0123456789"
METADATA = {"client_id": CLIENT_ID, "redirect_uris": [HTTPS_URI], "grant_types": ["authorization_code"]}


class Provider:
    """oidc-provider in a process of its own; `issuer` is its address."""

    def __init__(self, node: str, **metadata: object) -> None:
        client = json.dumps({**METADATA, "client_secret": SECRET, **metadata})
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([node, "provider.mjs", client], cwd=HERE, text=True, **pipes)
        self.issuer = self._process.stdout.readline().strip()
        assert self.issuer, f"oidc-provider ended with {self._process.wait()}"

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=20) == 0

    # what `Site` asks of an XWMS

    def options(self, **changes: object) -> dict[str, Any]:
        usual = {"client_id": CLIENT_ID, "client_secret": SECRET, "redirect_uris": HTTPS_URI, "flow": "oauth2"}
        key = "K3y-for-tests-0123456789-abcdefghij"
        return {**usual, "issuer": self.issuer, "session_secret": key, **changes}

    # the person

    def consent(self, location: str, sub: str = "ada", *, person: httpx2.Client | None = None) -> dict[str, str]:
        """Sign in and consent at this address; gives the query of the callback. `person` is their browser there."""
        with nullcontext(person) if person else httpx2.Client() as http:
            for _ in range(10):
                answer = http.get(location)
                if 'name="prompt"' in answer.text:
                    action = urljoin(location, re.findall(r'<form[^>]* action="([^"]+)"', answer.text)[0])
                    prompt = re.findall(r'name="prompt" value="(\w+)"', answer.text)[0]
                    answer = http.post(action, data={"prompt": prompt, "login": sub, "password": "any"})
                assert answer.is_redirect, answer.text
                location = urljoin(location, answer.headers["location"])
                if location.startswith(HTTPS_URI):
                    return dict(parse_qsl(urlsplit(location).query))
        raise AssertionError("the provider does not come to an end")

    def log_out(self, person: httpx2.Client, address: str = "") -> httpx2.Response:
        """The person agrees to be logged out there, and everywhere; `address` is where an application sent them."""
        page = person.get(address or f"{self.issuer}/session/end")
        secret = re.findall(r'name="xsrf" value="([^"]+)"', page.text)[0]
        return person.post(f"{self.issuer}/session/end/confirm", data={"xsrf": secret, "logout": "yes"})


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Provider]]:
    """Start a provider: `start(token_endpoint_auth_method="client_secret_post")`. One for each kind of client."""
    node = program("node")
    if not (HERE / "node_modules" / "oidc-provider").is_dir():
        missing("oidc-provider (npm ci --prefix tests/oauth2)")
    started: dict[str, Provider] = {}

    def start_one(**metadata: object) -> Provider:
        name = json.dumps(metadata)
        if name not in started:
            started[name] = Provider(node, **metadata)
        return started[name]

    yield start_one
    for provider in started.values():
        provider.close()


@pytest.fixture
def provider(start: Callable[..., Provider]) -> Provider:
    return start()


@pytest.fixture
def site(edge: str, provider: Provider) -> Site:
    return Site(edge, provider)


@pytest.fixture
def browser(site: Site) -> Any:
    return site.browser()


def test_a_person_logs_in_and_out_and_in_again(site, browser, provider):
    location = begin(browser, "/hello")
    query = provider.consent(location)
    assert set(query) == {"code", "state", "iss"}
    assert query["iss"] == provider.issuer
    answer = come_back(browser, query)
    assert (answer.status_code, answer.headers["location"]) == (303, "/hello")
    assert browser.who() == "ada"
    user = browser.get("/xwms/me", PROGRAM).json()["user"]
    assert (user["issuer"], user["name"]) == (provider.issuer, "Name of ada")
    assert (user["email"], user["email_verified"]) == ("ada@example.org", True)
    assert browser.log_out().status_code == 303
    assert browser.who() is None
    assert come_back(browser, provider.consent(begin(browser), "bob")).status_code == 303
    assert browser.who() == "bob"


@pytest.mark.parametrize(
    ("method", "algorithm"),
    [
        ("client_secret_basic", "PS256"),
        ("client_secret_basic", "EdDSA"),
        ("client_secret_post", "RS256"),
        ("client_secret_post", "ES256"),
    ],
)
def test_each_way_to_bring_the_secret_and_each_kind_of_signature(edge, start, method, algorithm):
    provider = start(token_endpoint_auth_method=method, id_token_signed_response_alg=algorithm)
    browser = Site(edge, provider, client_auth=method).browser()
    assert come_back(browser, provider.consent(begin(browser))).status_code == 303
    assert browser.who() == "ada"


def test_a_wrong_secret_is_told_as_such(edge, provider):
    browser = Site(edge, provider, client_secret="another-secret-0123456789").browser()
    assert code_of(come_back(browser, provider.consent(begin(browser)))) == (500, "credentials_rejected")


def test_rp_10_a_code_that_was_used_logs_nobody_in(site, browser, provider):
    """RP-10: the same code, with the verifier that belongs to it, in another process that knows of no use."""
    query = provider.consent(begin(browser))
    cookie = browser.pending()
    assert come_back(browser, query).status_code == 303
    other = site.restarted().browser()
    other.carry(cookie)
    assert code_of(come_back(other, query)) == (401, "token_rejected")
    assert other.who() is None


def test_oc_07_a_code_with_another_logins_verifier_logs_nobody_in(site, provider):
    """OC-07, OC-01: the provider compares the verifier with the challenge of the login that the code is of."""
    attacker, victim = site.browser(), site.browser()
    theirs, own = provider.consent(begin(attacker), "attacker"), provider.consent(begin(victim))
    answer = come_back(victim, {**theirs, "state": own["state"]})
    assert code_of(answer) == (401, "token_rejected")
    assert victim.who() is None


def test_ru_07_a_code_for_another_redirect_uri_logs_nobody_in(edge, start):
    """RU-07: two registered redirect URIs; the code of one is brought to the other, by somebody who moves the state."""
    other = "https://other.example/back"
    provider = start(redirect_uris=[HTTPS_URI, other])
    site = Site(edge, provider, redirect_uris=(HTTPS_URI, other))
    one, two = site.browser(), site.browser("https://other.example")
    query = provider.consent(begin(one))
    answer = two.get("/back", FROM_ELSEWHERE, params={**query, "state": asked(begin(two))["state"]})
    assert code_of(answer) == (401, "token_rejected")
    assert two.who() is None


def test_a_redirect_uri_that_is_not_registered_gets_no_code(edge, provider):
    browser = Site(edge, provider, redirect_uris="https://unregistered.example/cb").browser()
    answer = httpx2.get(begin(browser))
    assert answer.status_code == 400
    assert "redirect_uri" in answer.text


def test_oc_04_a_callback_with_another_iss_is_refused_and_its_code_is_not_sent(site, browser, provider):
    """OC-04: the provider promises its name in every callback."""
    for iss in ("https://evil.example", None):
        query = provider.consent(begin(browser))
        changed = {name: value for name, value in {**query, "iss": iss}.items() if value is not None}
        assert code_of(come_back(browser, changed)) == (401, "token_rejected")
        assert browser.who() is None


def test_lc_09_the_callback_of_another_browser_is_refused(site, browser, provider):
    """LC-09"""
    theirs = provider.consent(begin(site.browser()), "attacker")
    own = begin(browser)
    assert code_of(come_back(browser, theirs)) == (400, "login_not_started")
    assert come_back(browser, provider.consent(own)).status_code == 303
    assert browser.who() == "ada"


def test_a_person_who_cancels_is_told_that_nobody_is_logged_in(browser, provider):
    location = begin(browser)
    with httpx2.Client() as person:
        page = urljoin(location, person.get(location).headers["location"])
        answer = person.get(f"{page}/abort")
        while not answer.headers["location"].startswith(HTTPS_URI):
            answer = person.get(urljoin(location, answer.headers["location"]))
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert query["error"] == "access_denied"
    answer = browser.get(CALLBACK, FROM_ELSEWHERE, params=query)
    assert code_of(answer) == (400, "token_missing")
    assert browser.who() is None


def test_oc_01_the_provider_takes_no_login_without_pkce(browser, provider):
    """OC-01: so every login above has had it."""
    location = re.sub(r"&code_challenge(_method)?=[^&]*", "", begin(browser))
    answer = httpx2.get(location)
    error = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert (answer.status_code, error["error"]) == (303, "invalid_request")
    assert code_of(come_back(browser, error)) == (500, "request_rejected")


REFRESHING = {
    "grant_types": ["authorization_code", "refresh_token"],
    "post_logout_redirect_uris": ["https://app.example/"],
}


def introspected(provider: Provider, token: str) -> bool:
    credentials = (quote_plus(CLIENT_ID), quote_plus(SECRET))
    answer = httpx2.post(f"{provider.issuer}/token/introspection", data={"token": token}, auth=credentials)
    return bool(answer.json()["active"])


def test_tokens_are_refreshed_rotated_revoked_and_the_person_is_out_in_both_places(edge, start):
    """RFC 7009, OpenID Connect RP-Initiated Logout: as a certified provider has them."""
    provider = start(**REFRESHING)
    site = token_page(Site(edge, provider, session_store="memory://", scopes="openid profile offline_access"))
    browser = site.browser()
    assert come_back(browser, provider.consent(begin(browser))).status_code == 303
    tokens = [browser.get("/token", PROGRAM).text]
    for _ in range(2):
        site.clock.advance(4000)
        tokens.append(browser.get("/token", PROGRAM).text)
    assert len(set(tokens)) == 3
    assert introspected(provider, tokens[-1])
    left = browser.post("/xwms/logout")
    assert left.status_code == 303
    assert left.headers["location"].startswith(f"{provider.issuer}/session/end?")
    assert "id_token" not in left.headers["location"]
    assert not introspected(provider, tokens[-1])
    assert browser.who() is None
    with httpx2.Client() as person:
        back = provider.log_out(person, left.headers["location"])
        assert back.headers["location"].startswith("https://app.example/")
