"""RU-01 to RU-08 over HTTP: the redirect URI is the configured one, and its path is the callback, to the byte.

The form of a redirect URI, without HTTP: tests/http/test_urls.py.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain

import flask
import pytest

import xwms_auth.asgi
import xwms_auth.flask
from tests.attacks.real_servers import Line, listening
from tests.corpus.callback_paths import CALLBACK as CALLBACK_BYTES
from tests.corpus.callback_paths import NEAR_MISSES as PATHS
from tests.corpus.hosts import FORWARDED, HOSTS, UNDERSCORED
from tests.corpus.redirect_uris import INSECURE_BAD, INSECURE_GOOD
from tests.corpus.redirect_uris import NEAR_MISSES as URIS
from tests.corpus.tokens import PLAUSIBLE
from tests.tools.fake_xwms import CANARY, FakeXWMS
from tests.tools.faults import Behaviour, Exchange, Reply, refusal
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, NAVIGATION, PROGRAM, Site
from xwms_auth import ConfigError, XWMSConfig

Header = tuple[str, str]


def start(site: Site, *headers: Header, host: str | None = None) -> int:
    """A raw start of a login; the status."""
    site.clock.advance(1)
    answer = site.raw(LOGIN, headers=[*FROM_HERE.items(), *headers], host=host)
    if answer.status_code == 302:
        assert answer.headers["location"].startswith(f"{site.fx.url}/sign-in/")
    return answer.status_code


def assert_as_configured(site: Site, calls: int) -> None:
    """XWMS was told the same each time: our URI, our domain, byte for byte."""
    asked = site.fx.to("sign-token")
    assert len(asked) == calls
    assert {request.body for request in asked} == {asked[0].body}
    assert asked[0].json == {"redirect_url": site.config.registered[0].uri}
    assert {tuple(request.all("X-Client-Domain")) for request in asked} == {(site.config.domain,)}
    assert {tuple(request.all("Host")) for request in asked} == {(site.fx.host,)}
    assert not any(b"evil" in request.raw_head for request in asked)


def test_ru_01_no_host_and_no_header_changes_what_is_sent_to_xwms(site):
    """RU-01, HP-01, HP-02, HP-03: with one redirect URI, whatever the request says about itself."""
    forwarded = [*FORWARDED, *UNDERSCORED]
    assert {start(site, host=host) for host in HOSTS} == {302}
    assert {start(site, header) for header in forwarded} == {302}
    assert start(site, *forwarded) == 302
    assert_as_configured(site, len(HOSTS) + len(forwarded) + 1)


def test_ru_01_with_several_redirect_uris_a_host_picks_one_or_none(make_site):
    """RU-01, HP-01: a host is looked up, never used."""
    uris = ("https://app.example.com/xwms/validateToken", "https://other.example.com/xwms/validateToken")
    site = make_site(redirect_uris=uris)
    good = {host for host in HOSTS if host.lower() == "app.example.com"}
    for host in HOSTS:
        assert start(site, host=host) == (302 if host in good else 400), host
    for header in (*FORWARDED, *UNDERSCORED):
        assert start(site, header, host="app.example.com") == 302
        assert start(site, header, host="evil.example") == 400
    assert_as_configured(site, len(good) + 2 * len(FORWARDED))


def test_ru_01_two_redirect_uris_that_one_host_could_mean_are_a_config_error(subtests):
    """RU-01: the host is what picks among them, so no Host header may mean two (the later one won, silently)."""
    for uris in (
        ("https://localhost/cb", "http://localhost/cb"),
        ("https://localhost:5000/cb", "http://localhost:5000/cb"),
        ("https://localhost/cb", "http://localhost:443/cb"),
        ("https://localhost:80/cb", "http://localhost/cb"),
    ):
        with subtests.test(uris=uris), pytest.raises(ConfigError):
            XWMSConfig(**FakeXWMS.options(_Unused(), redirect_uris=uris))


class _Unused(FakeXWMS):
    """Only its `options` are wanted; nothing listens."""

    api_url = "http://127.0.0.1:1/api/"


def registered(*uris: str) -> Behaviour:
    """XWMS with these redirect URIs in its dashboard, compared as it does: exactly."""

    def answer(at: Exchange) -> Reply:
        if at.request.json["redirect_url"] in uris:
            return at.fx.usual(at)
        return refusal(422, "The redirect URL is not registered for this client.")

    return answer


NEARLY_REGISTERED = (
    "https://app.example/xwms/validateToken/",
    "https://app.example/xwms/validatetoken",
    "https://app.example/xwms/ValidateToken",
    "https://app.example/XWMS/validateToken",
    "https://app.example/xwms/validateTokens",
    "https://app.example/xwms/validateToke",
    "https://app.example/validateToken",
    "https://app.example/app/xwms/validateToken",
    "https://app.example/xwms/validateToken;x",
    "https://app.example:8443/xwms/validateToken",
    "https://app.example:80/xwms/validateToken",
    "https://www.app.example/xwms/validateToken",
    "https://ap.example/xwms/validateToken",
    "https://app.example.com/xwms/validateToken",
    "http://localhost/xwms/validateToken",
    "http://127.0.0.1:5000/xwms/validateToken",
)


def test_ru_02_a_redirect_uri_that_xwms_does_not_know_is_told_plainly_and_without_a_secret(edge, make_fx):
    """RU-02. The row says 502; `redirect_not_registered` is 500 by the contract, which names the code."""
    fx = make_fx()
    fx.answer("sign-token", registered(HTTPS_URI))
    for uri in NEARLY_REGISTERED:
        site = Site(edge, fx, redirect_uris=uri)
        for reader in (FROM_HERE, PROGRAM):
            answer = site.browser().get(site.config.login_path, reader)
            assert answer.status_code == 500, uri
            assert "redirect_not_registered" in answer.text, uri
            assert "location" not in answer.headers, uri
            assert "set-cookie" not in answer.headers, uri
            assert CANARY not in answer.text + str(answer.headers.raw), uri
            assert fx.to("sign-token")[-1].json["redirect_url"] == uri
    assert fx.calls("sign-token") == 2 * len(NEARLY_REGISTERED)


def set_up(edge: str, monkeypatch: pytest.MonkeyPatch, uri: str, **more: str) -> None:
    """Set the edge up the way a deployment does: Flask from `app.config`, ASGI from the environment."""
    settings = {"XWMS_CLIENT_ID": "a", "XWMS_CLIENT_SECRET": CANARY, "XWMS_REDIRECT_URI": uri}
    settings |= {"XWMS_SESSION_SECRET": "K3y-for-tests-0123456789-abcdefghij", "XWMS_INSECURE_ALLOW_HTTP": "", **more}
    if edge == "flask":
        app = flask.Flask(__name__)
        app.config.update(settings)
        xwms_auth.flask.XWMSAuth(app)
    else:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        xwms_auth.asgi.XWMSAuthMiddleware(_nothing)


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("no request is made here")


def test_ru_03_a_near_miss_stops_the_start_of_either_edge(edge, monkeypatch, subtests):
    """RU-03: white space separates several, so what has any is judged in tests/http/test_urls.py."""
    for uri in chain.from_iterable(URIS.values()):
        if not uri or "\x00" in uri or len(uri.split()) != 1 or uri != uri.strip() or not uri.isprintable():
            continue
        with subtests.test(uri=uri):
            with pytest.raises(ConfigError) as caught:
                set_up(edge, monkeypatch, uri)
            assert CANARY not in str(caught.value)


def test_ru_04_plain_http_off_this_machine_stops_the_start_of_either_edge(edge, monkeypatch, subtests):
    """RU-04: a variable allows it for hosts that cannot be public, and for no other."""
    for uri in (*INSECURE_GOOD, *INSECURE_BAD):
        with subtests.test(uri=uri), pytest.raises(ConfigError):
            set_up(edge, monkeypatch, uri)
        with (
            subtests.test(uri=uri, allowed=True),
            nullcontext() if uri in INSECURE_GOOD else pytest.raises(ConfigError),
        ):
            set_up(edge, monkeypatch, uri, XWMS_INSECURE_ALLOW_HTTP="1")


# --- RU-05: real servers, raw targets --------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["flask", "asgi"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Line]]:
    """One site behind a real server for all targets."""
    with FakeXWMS() as fx:
        site = Site(request.param, fx)
        with listening(site) as line:
            yield site, line


def test_ru_05_the_callback_itself_is_recognised(served):
    """RU-05: the table below would pass for a server that answers nothing."""
    _, line = served
    assert line.request(CALLBACK_BYTES + b"?token=" + PLAUSIBLE.encode()).code == "login_not_started"


def test_ru_05_a_path_that_is_nearly_the_callback_is_not(served):
    """RU-05, OR-08: neither we nor the server's own tidying; no redirect carries the token along."""
    site, line = served
    for target in PATHS:
        site.clock.advance(2)
        before = site.fx.calls("sign-token-verify")
        for accept in (b"application/json", b"text/html"):
            answer = line.request(target.raw + b"?token=" + PLAUSIBLE.encode(), accept=accept)
            as_callback = answer.code == "login_not_started" or b"login_not_started" in answer.body
            refused = 400 <= answer.status < 500 or (target.raw == b"*" and answer.status in (0, 404))
            assert as_callback <= target.decoded, target.name
            assert as_callback or refused, target.name
            assert answer.all("location") == [], target.name
            assert answer.all("set-cookie") == [], target.name
        if not target.decoded:
            assert site.fx.calls("sign-token-verify") == before, target.name


def test_ru_05_a_login_does_not_finish_at_a_near_miss(served):
    """RU-05: with all that a true callback would have."""
    site, line = served
    for target in (target for target in PATHS if not target.decoded):
        site.clock.advance(2)
        browser = site.browser()
        token = site.fx.approve(browser.start())
        cookie = f"Cookie: {browser.pending()}".encode()
        answer = line.request(target.raw + b"?token=" + token.encode(), cookie, accept=b"text/html")
        assert answer.all("set-cookie") == [], target.name
        assert browser.come_back(token).status_code == 303, target.name


def test_ru_05_undecodable_paths_in_process_are_not_the_callback(site):
    """RU-05: what only a WSGI server passes on, bytes that are not UTF-8."""
    for path in (f"{CALLBACK}\udcff", f"\udcff{CALLBACK}", "/xwms\udcc0\udcafvalidateToken", "/\udcff"):
        answer = site.raw(path, query=f"token={PLAUSIBLE}", headers=list(NAVIGATION.items()))
        assert answer.status_code == 404
    assert site.fx.requests == []


# --- who chooses -----------------------------------------------------------------------------------------------------

NAMES = ("redirect_url", "redirect_uri", "redirectUri", "callback", "callback_url", "return_to", "domain", "host")


def test_ru_06_a_caller_cannot_choose_the_redirect_uri(site):
    """RU-06: by query, form, JSON or header."""
    evil = "https://evil.example/xwms/validateToken"
    count = 0
    for name in NAMES:
        browser = site.browser()
        answers = [
            browser.get(LOGIN, params={name: evil}),
            browser.post(LOGIN, data={name: evil}),
            browser.post(LOGIN, json={name: evil}),
            browser.get(LOGIN, {**FROM_HERE, name: evil, f"X-{name.replace('_', '-')}": evil}),
        ]
        site.clock.advance(1)
        assert {answer.status_code for answer in answers} == {302}
        count += len(answers)
    assert_as_configured(site, count)


@pytest.mark.parametrize("callback", ["same", "fresh"])
def test_ru_07_both_calls_to_xwms_name_the_same_redirect_uri(make_site, callback):
    """RU-07: at the start and at the end, whatever the callback's query says, on each of several hosts."""
    uris = (HTTPS_URI, "https://other.example/back")
    site = make_site(callback, redirect_uris=uris)
    for origin, path, uri in (("https://app.example", CALLBACK, uris[0]), ("https://other.example", "/back", uris[1])):
        browser = site.browser(origin)
        token = site.fx.approve(browser.start())
        answer = browser.get(f"{path}?token={token}&redirect_url=https://evil.example", FROM_ELSEWHERE)
        assert answer.status_code == 303
        assert site.fx.to("sign-token")[-1].json == {"redirect_url": uri}
        assert site.fx.to("sign-token-verify")[-1].json == {"token": token, "redirect_url": uri}


def test_ru_07_a_login_begun_for_one_redirect_uri_cannot_end_at_another(make_site):
    """RU-07: a pending login, moved to another host of the same application, is none there."""
    site = make_site(redirect_uris=(HTTPS_URI, "https://other.example/back"))
    browser = site.browser()
    token = site.fx.approve(browser.start())
    cookie = browser.pending()
    moved = site.raw("/back", query=f"token={token}", headers=[("Cookie", cookie)], host="other.example")
    assert moved.status_code == 400
    assert moved.json()["code"] == "login_not_started"
    assert moved.headers.get_list("set-cookie") == []
    wrong_host = site.raw("/back", query=f"token={token}", headers=[("Cookie", cookie)])
    assert wrong_host.status_code == 404


def test_ru_08_a_redirect_uri_on_a_route_of_ours_stops_the_start_of_either_edge(edge, monkeypatch, subtests):
    """RU-08, as far as there is one flow. Two flows on one redirect URI: with the OAuth flow."""
    for path in (LOGIN, "/xwms/logout", "/xwms/me"):
        with subtests.test(path=path), pytest.raises(ConfigError):
            set_up(edge, monkeypatch, f"https://app.example{path}")
