"""`trusted_origins`: what pages of a further origin may do, and that no other origin may do it (OR-12, LO-02).

A front end at `https://front.example` with its API here, and a Vite server on another port of localhost.
"""

import re
from urllib.parse import quote

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.corpus.next_targets import GOOD, HOSTILE
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, ME, NAVIGATION, Site
from xwms_auth.asgi import XWMSAuthMiddleware

FRONT, VITE, V6 = "https://front.example", "http://localhost:5173", "http://[::1]:5173"
TRUSTED = (FRONT, VITE, V6)
FETCH = {"Accept": "application/json", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}

ALMOST = (
    "https://front.example.evil.example",
    "https://front.example@evil.example",
    "https://front.example:8443",
    "https://front.example:443",
    "https://sub.front.example",
    "https://front.exampl",
    "https://front.example.",
    "http://front.example",
    "HTTPS://front.example",
    "https://FRONT.example",
    "https://front.example, https://front.example",
    "https://front.example https://front.example",
    "http://localhost:5174",
    "http://127.0.0.1:5173",
    "null",
    "*",
    "",
)


@pytest.fixture
def site(make_site) -> Site:
    return make_site(trusted_origins=TRUSTED)


def by_fetch(origin: str, site: str = "same-site") -> dict[str, str]:
    """The headers of a `fetch` by a page of this origin."""
    return {**FETCH, "Sec-Fetch-Site": site, "Origin": origin}


def cors_of(answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


# --- /xwms/me ---


@pytest.mark.parametrize("origin", TRUSTED)
def test_a_trusted_page_reads_who_is_signed_in(site, origin):
    browser = site.browser()
    browser.log_in(sub=7)
    answer = browser.get(ME, by_fetch(origin))
    assert answer.json()["user"]["sub"] == "7"
    allowed = {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}
    assert cors_of(answer) == allowed
    assert set(answer.headers["vary"].split(", ")) == {"Cookie", "Origin"}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("origin", [*ALMOST, FRONT + "/"])
def test_or_12_no_other_page_reads_it(site, origin):
    """OR-12: an origin that is nearly trusted, the answer of a look that a browser keeps from the page."""
    for headers in (by_fetch(origin), by_fetch(origin, "cross-site")):
        assert cors_of(site.browser().get(ME, headers)) == {}
        preflight = {**headers, "Access-Control-Request-Method": "GET"}
        answer = site.browser().client.request("OPTIONS", ME, headers=preflight)
        assert (answer.status_code, cors_of(answer)) == (405, {})


def test_an_answer_to_no_page_or_to_our_own_has_no_cors_header(site):
    for headers in (FETCH, {**FETCH, "Origin": site.origin, "Sec-Fetch-Site": "same-origin"}):
        answer = site.browser().get(ME, headers)
        assert (answer.status_code, cors_of(answer)) == (200, {})


@pytest.mark.parametrize(("path", "method"), [(ME, "GET"), (LOGOUT, "POST")])
def test_the_preflight_of_a_trusted_page_is_answered(site, path, method):
    """A library's header, such as X-Requested-With, makes a browser ask first."""
    headers = {**by_fetch(FRONT), "Access-Control-Request-Method": method}
    headers["Access-Control-Request-Headers"] = "x-requested-with,xwms-passive"
    answer = site.browser().client.request("OPTIONS", path, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == FRONT
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-methods"] == method
    assert answer.headers["access-control-allow-headers"] == "x-requested-with,xwms-passive"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("asked", ["*", "x y", "a,,b", "a: b", "é", "x" * 1001])
def test_what_is_no_list_of_header_names_is_not_sent_back(site, asked):
    headers = [("Origin", FRONT), ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", asked)]
    answer = site.raw(ME, method="OPTIONS", headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-headers" not in answer.headers


@pytest.mark.parametrize("path", [LOGIN, CALLBACK])
def test_the_other_routes_have_no_cors_headers(site, path):
    """No page may read or fetch a login's answers."""
    preflight = {**by_fetch(FRONT), "Access-Control-Request-Method": "GET"}
    answer = site.browser().client.request("OPTIONS", path, headers=preflight)
    assert (answer.status_code, cors_of(answer)) == (405, {})
    assert cors_of(site.browser().get(path, by_fetch(FRONT))) == {}


def test_an_error_can_be_read_by_a_trusted_page_too(site):
    answer = site.browser().post(ME, by_fetch(FRONT))
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["access-control-allow-origin"] == FRONT


def test_without_the_option_nothing_of_cors_is_sent(make_site):
    answer = make_site().browser().get(ME, by_fetch(FRONT))
    assert cors_of(answer) == {}
    assert "Origin" not in answer.headers["vary"]


@pytest.mark.parametrize("headers", [by_fetch(FRONT), {**by_fetch(FRONT), "Access-Control-Request-Method": "GET"}])
def test_beside_starlettes_own_cors_each_header_comes_once(make_fx, headers):
    """It stands outside, as docs/front-end.md says; a page can then read the 401 of a guarded route as well."""
    site = Site("asgi", make_fx(), trusted_origins=TRUSTED)
    app = CORSMiddleware(site.app, allow_origins=[FRONT], allow_credentials=True)
    client = TestClient(app, base_url=site.origin)
    for path, status in ((ME, 200), ("/who", 401)):
        method = "OPTIONS" if "Access-Control-Request-Method" in headers else "GET"
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == (200 if method == "OPTIONS" else status)
        assert answer.headers.get_list("access-control-allow-origin") == [FRONT]
        assert answer.headers.get_list("access-control-allow-credentials") == ["true"]


# --- the logout ---


@pytest.mark.parametrize(
    "headers",
    [
        by_fetch(FRONT),
        by_fetch(VITE, "cross-site"),
        {"Accept": "text/html", "Origin": FRONT},
        {**NAVIGATION, "Sec-Fetch-Site": "same-site", "Origin": V6},
    ],
    ids=["fetch", "fetch from another site", "a browser without Fetch Metadata", "form"],
)
def test_a_trusted_page_posts_the_logout(site, headers):
    browser = site.browser()
    browser.log_in()
    answer = browser.log_out(headers, params={"next": f"{FRONT}/bye?a=b"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{FRONT}/bye?a=b")
    assert answer.headers["access-control-allow-origin"] == headers["Origin"]
    assert browser.who() is None


@pytest.mark.parametrize("origin", ALMOST)
def test_lo_02_no_other_page_posts_the_logout(site, origin):
    """LO-02: an origin that is nearly trusted."""
    browser = site.browser()
    browser.log_in()
    for headers in (by_fetch(origin), by_fetch(origin, "cross-site"), {"Accept": "text/html", "Origin": origin}):
        answer = browser.log_out(headers)
        assert (answer.status_code, cors_of(answer)) == (403, {}), headers
    assert browser.who() is not None


def test_a_trusted_page_does_not_post_a_login(site):
    """A login begins by a person's hand on this site, or after a click on our page."""
    for headers in (by_fetch(FRONT), {**NAVIGATION, "Sec-Fetch-Site": "same-site", "Origin": FRONT}):
        assert site.browser().post(LOGIN, headers).status_code == 403
    assert site.fx.requests == []


# --- `next` ---


@pytest.mark.parametrize("origin", TRUSTED)
def test_a_login_returns_to_a_trusted_origin(site, origin):
    browser = site.browser()
    for value, becomes in GOOD:
        target = f"{origin}{becomes}"
        if len(origin + value) > 2048 or len(target) > 2048:
            continue
        browser.client.cookies.clear()
        assert browser.log_in(next=origin + value).headers["location"] == target, value
        signed_in = browser.get(LOGIN, params={"next": origin + value})
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, target), value


def test_or_12_anything_but_a_path_on_it_is_after_login(make_site):
    """OR-12: look-alikes of a trusted origin, and the rest of the rule, which counts there as it does here."""
    site = make_site(trusted_origins=TRUSTED, after_login="/welcome")
    browser = site.browser()
    browser.log_in()
    values = [f"{almost}/" for almost in ALMOST] + [f"{almost}/a" for almost in ALMOST if almost]
    values = [value for value in values if value != "/"]
    values += [
        FRONT,
        f"{FRONT}?a",
        f"{FRONT}#a",
        f"{FRONT}\\a",
        f" {FRONT}/",
        f"{FRONT}\t/",
        f"{FRONT}%2f",
        f"/{FRONT}",
    ]
    for family in HOSTILE.values():
        values += [
            FRONT + value for value in family if value.startswith(("/", "\\", "@", "?", "#")) and len(value) < 9000
        ]
        values += [value for value in family if len(value) < 9000]
    ends = {}
    for value in values:
        url = f"{LOGIN}?next={quote(value.encode('utf-8', 'surrogatepass'), safe='')}"
        ends[value] = browser.get(url).headers["location"]
    assert {value: end for value, end in ends.items() if end != "/welcome"} == {}


def test_after_login_may_be_on_a_trusted_origin(make_site):
    site = make_site(trusted_origins=TRUSTED, after_login=f"{FRONT}/start")
    assert site.browser().log_in().headers["location"] == f"{FRONT}/start"
    assert site.browser().log_in(next="/here").headers["location"] == "/here"
    assert site.browser().log_in(next="https://evil.example/").headers["location"] == f"{FRONT}/start"


def test_or_04_a_login_under_way_does_not_return_to_an_origin_that_is_no_longer_trusted(site):
    """OR-04: the rule is applied once more at the moment of the redirect."""
    browser = site.browser()
    token = browser.start(f"{FRONT}/a")
    later = site.restarted(session_secret=site.config.session_keys, client_secret=site.config.client_secret)
    other = later.browser()
    other.carry(browser.pending())
    assert other.come_back(site.fx.approve(token)).headers["location"] == "/"


def test_the_pages_let_their_forms_lead_to_a_trusted_origin(site):
    """Browsers compare every redirect after a form with `form-action`, and these lead to `next` in the end."""
    page = site.browser().get(LOGIN, FROM_ELSEWHERE, params={"next": f"{FRONT}/a"})
    (sources,) = re.findall("form-action ([^;]+)", page.headers["content-security-policy"])
    assert FRONT in sources.split()
    assert VITE not in sources.split()


def test_the_page_that_shows_the_person_does_too(make_site):
    site = make_site("fresh", trusted_origins=TRUSTED, callback_token="fresh", confirm_person=True)
    browser = site.browser()
    asked = browser.get(browser.log_in(next=f"{FRONT}/a").headers["location"])
    (sources,) = re.findall("form-action ([^;]+)", asked.headers["content-security-policy"])
    assert sources.split() == ["'self'", FRONT]
    key = re.findall('name="confirm" value="([^"]+)"', asked.text)[0]
    (action,) = re.findall('<form[^>]* action="([^"]+)"', asked.text)
    answer = browser.post(action.replace("&amp;", "&"), {**FROM_HERE, "Origin": site.origin}, data={"confirm": key})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{FRONT}/a")


def test_htmx_on_a_trusted_page_comes_back_to_that_page(site):
    headers = {"HX-Request": "true", "HX-Current-URL": f"{FRONT}/list?a=b", **by_fetch(FRONT)}
    answer = site.browser().get("/who", headers)
    assert answer.headers["hx-redirect"] == f"{LOGIN}?next={quote(f'{FRONT}/list?a=b', safe='/')}"
    headers["HX-Current-URL"] = "https://front.example.evil.example/list"
    assert "evil" not in site.browser().get("/who", headers).headers["hx-redirect"]


# --- websockets ---


async def room(scope, receive, send) -> None:
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    await websocket.send_text(str(scope["user"].is_authenticated))


def enter(app, headers: dict[str, str | bytes]) -> str:
    """What the room says, or why the handshake was refused."""
    try:
        with TestClient(app, base_url="https://app.example").websocket_connect("/", headers=headers) as line:
            return line.receive_text()
    except WebSocketDisconnect as refused:
        return refused.reason


def test_hp_12_a_trusted_page_opens_a_websocket_and_no_other_page_does(make_fx):
    """HP-12"""
    site = Site("asgi", make_fx(), trusted_origins=TRUSTED)
    browser = site.browser()
    browser.log_in()
    cookie = f"{site.session_cookie}={browser.cookies()[site.session_cookie]}"
    app = XWMSAuthMiddleware(room, site.config, clock=site.clock)
    for origin in (*TRUSTED, site.origin):
        assert enter(app, {"origin": origin, "cookie": cookie}) == "True", origin
    for origin in ALMOST:
        assert enter(app, {"origin": origin, "cookie": cookie}) == "cross_site", origin
