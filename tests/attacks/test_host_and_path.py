"""HP-01 to HP-11 over HTTP: what a request says about its host, its proxy or its path opens nothing.

HP-01 to HP-03, as far as XWMS is told something: tests/attacks/test_redirect_uri.py. HP-12: test_websockets.py.
"""

from collections.abc import Callable, Iterator
from itertools import count, product
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.attacks.real_servers import Line, gunicorn, listening
from tests.corpus.hosts import FORWARDED, HOSTS, UNDERSCORED
from tests.corpus.tokens import PLAUSIBLE
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import CALLBACK, FROM_HERE, LOGIN, LOGOUT, ME, NAVIGATION, PROGRAM, Site, asgi_app, flask_app
from xwms_auth import XWMSConfig

GUARDED = {"protect": "all", "public": ("/public", "/static/*")}


def cookie_of(site: Site, **claims: object) -> tuple[str, str]:
    """The Cookie header of somebody who has just logged in."""
    browser = site.browser()
    browser.log_in(**claims)
    return ("Cookie", f"{site.session_cookie}={browser.cookies()[site.session_cookie]}")


def test_hp_01_a_login_under_any_host_ends_in_the_same_answers(site, subtests):
    """HP-01: no Location and no cookie has anything of the host; nothing crashes."""
    headers = list(FROM_HERE.items())
    for host in HOSTS:
        site.clock.advance(1)
        with subtests.test(host=host):
            started = site.raw(LOGIN, query="next=/hello", headers=headers, host=host)
            token = site.fx.approve(started.headers["location"].removeprefix(f"{site.fx.url}/sign-in/"))
            pending = ("Cookie", started.headers["set-cookie"].partition(";")[0])
            ended = site.raw(CALLBACK, query=f"token={token}", headers=[pending], host=host)
            assert (ended.status_code, ended.headers["location"]) == (303, "/hello")
            session = ("Cookie", ended.headers.get_list("set-cookie")[-1].partition(";")[0])
            assert site.raw(ME, headers=[session], host=host).json()["user"]["sub"] == "xwms-user-1234"
            left = site.raw(LOGOUT, method="POST", headers=[*headers, session], host=host)
            assert left.headers["location"] == "/"
            assert site.raw("/private", headers=headers, host=host).status_code in (302, 400)
            assert not any("evil" in cookie for cookie in (*started.headers.values(), *ended.headers.values()))


def test_hp_02_headers_of_proxies_change_nothing(site, subtests):
    """HP-02, HP-03, HP-08, HP-10: cookies stay Secure and at Path=/, places stay paths, routes stay routes."""
    headers = [*FORWARDED, *UNDERSCORED]
    for more in (*([header] for header in headers), headers):
        site.clock.advance(1)
        with subtests.test(headers=more):
            assert_unimpressed(site, more)


def assert_unimpressed(site: Site, more: list[tuple[str, str]]) -> None:
    headers = [*FROM_HERE.items(), *more]
    started = site.raw(LOGIN, query="next=/hello", headers=headers)
    sent_to = started.headers["location"]
    assert sent_to.startswith(f"{site.fx.url}/sign-in/")
    pending = started.headers["set-cookie"].partition(";")[0]
    token = site.fx.approve(sent_to.rpartition("/")[2])
    ended = site.raw(CALLBACK, query=f"token={token}", headers=[*more, ("Cookie", pending)])
    assert ended.headers["location"] == "/hello"
    for cookie in (*started.headers.get_list("set-cookie"), *ended.headers.get_list("set-cookie")):
        assert cookie.startswith("__Host-")
        assert cookie.split("; ")[1:] in ([*_attributes(3600)], [*_attributes(8 * 86_400)], [*_attributes(0)])
    assert site.raw("/private", query="a=b", headers=headers).headers["location"] == f"{LOGIN}?next=/private%3Fa%3Db"
    assert site.raw(ME, headers=headers).json() == {"user": None, "login_url": LOGIN}


def _attributes(age: int) -> tuple[str, ...]:
    return ("Path=/", f"Max-Age={age}", "HttpOnly", "SameSite=Lax", "Secure")


def test_hp_02_a_rewritten_address_does_not_open_a_protected_page(make_site):
    """HP-02: the path that is asked for is the path that is judged."""
    site = make_site(**GUARDED)
    for name in ("X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Uri"):
        for public in ("/public", "/static/a.css", CALLBACK, LOGIN, ME):
            answer = site.raw("/hello", headers=[(name, public), *PROGRAM.items()])
            assert answer.status_code == 401, (name, public)


def test_hp_04_a_malformed_host_does_not_open_a_protected_page(make_site):
    """HP-04, CVE-2026-48710: a path is never read out of an address that was built from the host."""
    site = make_site(**GUARDED)
    for host in ("a/public?x=", "a/public#", "app.example/static/?", "a/public", "/public", "?", "#"):
        for path in ("/hello", "/private"):
            answer = site.raw(path, headers=list(PROGRAM.items()), host=host)
            assert (answer.status_code, answer.json()["code"]) == (401, "login_required"), host


OPENERS = [
    ("/hello", "x=/public"),
    ("/hello", "/public"),
    ("/hello", "/static/"),
    ("/hello?/public", ""),
    ("/hello#/public", ""),
    ("/hello#/static/a", ""),
    ("/hello;/public", ""),
    ("/hello;/static/a", ""),
    ("/hello\x00/public", ""),
]


def test_hp_06_only_the_path_makes_a_page_public(make_site):
    """HP-06: no query, no fragment, no user agent, no method."""
    site = make_site(**GUARDED)
    methods = ("GET", "HEAD", "OPTIONS", "POST", "PROPFIND")
    agents = ("browser", "kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "/public")
    for (path, query), agent, method in product(OPENERS, agents, methods):
        headers = [*PROGRAM.items(), ("User-Agent", agent)]
        answer = site.raw(path, method=method, query=query, headers=headers)
        assert answer.status_code == 401, (path, query, agent, method)


# As a raw request-target: how to name /hello without naming it. None of them is public.
VARIANTS = (
    b"/hello",
    b"//hello",
    b"///hello",
    b"/hello/",
    b"/hello//",
    b"/HELLO",
    b"/Hello",
    b"/hello;x",
    b"/;x/hello",
    b"/./hello",
    b"/a/../hello",
    b"/%68ello",
    b"/%2568ello",
    b"/hello%2f",
    b"/hello%00",
    b"/hello%20",
    b"/hello%0a",
    b"/hello%3f",
    b"/hello%23/public",
    b"/x/..%2fhello",
    b"/%2fhello",
    b"/%5chello",
    b"\\hello",
    b"hello",
    b"@app.example/hello",
    b"@evil/hello",
    b"http://evil.example/hello",
    b"http://evil.example/public/../hello",
    b"http:/hello",
    b"//evil.example/hello",
    b"/public/../hello",
    b"/public/..%2fhello",
    b"/public/hello",
    b"/public;/../hello",
    b"/public%2f..%2fhello",
    b"/PUBLIC/../hello",
    b"/static",
    b"/static/../hello",
    b"/static/..%2fhello",
    b"/static/%2e%2e/hello",
    b"/static/%2e%2e%2fhello",
    b"/static/%252e%252e/hello",
    b"/static/.%2e/hello",
    b"/static/./../hello",
    b"/static/a/../../hello",
    b"/static//../hello",
    b"/static/..;/hello",
    b"/static/..;x=y/hello",
    b"/static/;/../hello",
    b"/static/..%5chello",
    b"/static/..\\hello",
    b"/static%2f..%2fhello",
    b"/static/..",
    b"/static/%2e%2e",
    b"/static\\..\\hello",
    b"/a/static/../hello",
    b"/xwms/auth/../../hello",
    b"/xwms/auth/hello",
    b"*",
    b"",
)


@pytest.fixture(scope="module", params=["flask", "asgi"])
def guarded(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Line]]:
    """One site that protects all, behind a real server."""
    with FakeXWMS() as fx:
        site = Site(request.param, fx, **GUARDED)
        with listening(site) as line:
            yield site, line


@pytest.fixture(scope="module", params=["flask", "asgi"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Line]]:
    """One site with default options, behind a real server."""
    with FakeXWMS() as fx:
        site = Site(request.param, fx)
        with listening(site) as line:
            yield site, line


def test_hp_07_no_way_to_write_a_path_gets_round_the_login(guarded):
    """HP-05, HP-07: over raw sockets; refused by us (401) or by the server (400, 404, or hanging up)."""
    site, line = guarded
    for target, method in product(VARIANTS, (b"GET", b"HEAD", b"OPTIONS", b"POST")):
        answer = line.request(target, method=method, hosts=(b"a/public?x=",) if target == b"/hello" else (b"a",))
        assert answer.status in (0, 400, 401, 404, 405, 501), (target, method)
        assert b"nobody" not in answer.body, (target, method)
    assert site.fx.requests == []


def test_hp_07_what_is_public_reaches_the_application(guarded):
    """HP-07: the table above refuses for the right reason. The application has no such page: 404."""
    _, line = guarded
    for target in (b"/static/a.css", b"/static/", b"/static/a/b%20c", b"/public"):
        assert line.request(target).status == 404, target


def test_hp_05_a_strange_request_target_starts_no_login_with_a_strange_redirect_uri(guarded):
    """HP-05: the absolute form is either no route of ours or our route, and the host in it counts for nothing."""
    site, line = guarded
    for target in (b"http://evil.example/xwms/auth", b"@evil.example/xwms/auth", b"xwms/auth"):
        answer = line.request(target, b"Sec-Fetch-Site: none", accept=b"text/html")
        places = answer.all("location")
        assert all(place.startswith((f"{site.fx.url}/sign-in/", f"{LOGIN}?next=")) for place in places), target
    assert all(call.json == {"redirect_url": site.config.registered[0].uri} for call in site.fx.requests)


PERSON_HEADERS = (
    "X-User",
    "X-Remote-User",
    "Remote-User",
    "X-Xwms-Sub",
    "X-Forwarded-User",
    "X-Auth-Request-User",
    "From",
)


def test_hp_09_a_header_that_names_a_person_is_nobody(make_site, subtests):
    """HP-09: neither alone nor beside the session of somebody else."""
    site = make_site(**GUARDED)
    somebody = cookie_of(site, sub="17")
    basic = ("Authorization", "Basic eHdtcy11c2VyLTEyMzQ6eA==")
    for name in PERSON_HEADERS:
        header = (name, "xwms-user-1234")
        with subtests.test(header=name):
            assert site.raw("/hello", headers=[header, *PROGRAM.items()]).status_code == 401
            assert site.raw(ME, headers=[header]).json()["user"] is None
            assert site.raw("/hello", headers=[header, basic, *PROGRAM.items()]).status_code == 401
            assert site.raw(ME, headers=[header, basic, somebody]).json()["user"]["sub"] == "17"


def mounted(site: Site) -> Any:
    """The site's application below /app of another one."""
    config = XWMSConfig(**site.fx.options(redirect_uris="https://app.example/app/xwms/validateToken"))
    if site.edge == "flask":
        return DispatcherMiddleware(_not_found, {"/app": flask_app(config, site.clock).wsgi_app})
    return Starlette(routes=[Mount("/app", asgi_app(config, site.clock))])


def _not_found(environ: object, start_response: Callable[..., object]) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b""]


def test_hp_10_a_mounted_application_has_its_own_whole_paths(make_site, subtests):
    """HP-10: the prefix comes from the mount and from nothing that a browser sends; cookies stay at Path=/."""
    site = make_site()
    site.app = mounted(site)
    for name, value in (("X-Forwarded-Prefix", "/evil"), ("X-Script-Name", "/evil"), ("Script-Name", "/x")):
        browser = site.browser()
        with subtests.test(header=name):
            asked = browser.get("/app/private?a=b", {**FROM_HERE, name: value})
            assert asked.headers["location"] == "/app/xwms/auth?next=/app/private%3Fa%3Db"
            started = browser.get(asked.headers["location"])
            token = site.fx.approve(started.headers["location"].rpartition("/")[2])
            ended = browser.get(f"/app{CALLBACK}?token={token}", {**NAVIGATION, name: value})
            assert ended.headers["location"] == "/app/private?a=b"
            assert all("Path=/;" in cookie for cookie in ended.headers.get_list("set-cookie"))
            assert browser.get("/app/hello").text == "hello Ada Lovelace"
            for path in (LOGIN, f"{CALLBACK}?token={PLAUSIBLE}", f"/app/app{LOGIN}", f"/evil{LOGIN}"):
                assert browser.get(path).status_code == 404


APP = """
import flask, xwms_auth, xwms_auth.flask
app = flask.Flask("mine")
app.add_url_rule("/hello", "hello", lambda: "hello nobody")
options = dict(client_id="a", client_secret="b" * 20, redirect_uris="https://app.example/cb")
config = xwms_auth.XWMSConfig(
    **options, session_secret="K3y-for-tests-0123456789-abcdefghij", protect="all", public=("/public", "/static/*")
)
xwms_auth.flask.XWMSAuth(app, config)
"""


def test_hp_10_a_script_name_of_a_visitor_does_not_make_a_protected_page_public(tmp_path):
    """HP-10: gunicorn behind a proxy on the same machine takes SCRIPT_NAME from the request's headers by default."""
    with gunicorn(tmp_path, APP) as line:
        assert line.request(b"/hello").status == 401
        assert line.request(b"/static/a").status == 404
        spoofed = line.request(b"/static/hello", b"SCRIPT_NAME: /static")
    assert b"nobody" not in spoofed.body
    assert spoofed.status in (400, 401, 404)


def test_hp_11_no_host_or_two_hosts_change_nothing(served):
    """HP-11: refused by the server, or served as ever."""
    site, line = served
    several = ((), (b"app.example", b"evil.example"), (b"evil.example", b"app.example"), (b"",))
    for hosts, version in product(several, (b"HTTP/1.1", b"HTTP/1.0")):
        answer = line.request(LOGIN.encode(), b"Sec-Fetch-Site: none", hosts=hosts, version=version)
        assert answer.status in (302, 400), (hosts, version)
        assert all(place.startswith(f"{site.fx.url}/sign-in/") for place in answer.all("location")), (hosts, version)
        assert line.request(b"/private", hosts=hosts, version=version).status in (400, 401), (hosts, version)
    assert all(call.json == {"redirect_url": site.config.registered[0].uri} for call in site.fx.requests)


def test_hp_11_where_the_host_picks_no_host_and_two_hosts_pick_nothing(edge, make_fx):
    """HP-11: with several redirect URIs."""
    site = Site(edge, make_fx(), redirect_uris=("https://one.example/cb", "https://two.example/cb"))
    several = ((), (b"one.example", b"two.example"), (b"one.example", b"one.example"), (b"",))
    with listening(site) as line:
        for hosts in several:
            for target in (LOGIN.encode(), b"/cb?token=" + PLAUSIBLE.encode()):
                answer = line.request(target, hosts=hosts, version=b"HTTP/1.0")
                assert (answer.status, answer.code) in ((400, "host_not_registered"), (400, None)), hosts
            assert line.request(b"/private", hosts=hosts, version=b"HTTP/1.0").status in (400, 401), hosts
    assert site.fx.requests == []


# --- shapes that servers really hand over ----------------------------------------------------------------------------


def test_hp_07_a_path_of_stray_bytes_or_of_100_kb_needs_a_login_like_any_other(make_site):
    """HP-07, RP-08: paths that are not UTF-8 come in WSGI's clothes; ASGI's servers replace such bytes."""
    site = make_site(**GUARDED)
    for path in ("/\udcff", "/hello\udcff", "/\udcc0\udcaf", "/private\udcff", "/" + "a" * 100_000):
        given = path
        if site.edge == "asgi":
            given = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for reader, status in ((NAVIGATION, 302), (PROGRAM, 401)):
            answer = site.raw(given, headers=list(reader.items()))
            assert answer.status_code == status, path
            answer.headers.get("location", "").encode("ascii")


def test_hp_02_an_absurd_header_never_crashes_a_route_of_ours(site):
    """HP-01, HP-02: on each route, alone and twice."""
    routes = (("GET", LOGIN), ("POST", LOGIN), ("GET", CALLBACK), ("POST", LOGOUT), ("GET", ME))
    names = ("Accept", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin", "Referer", "Host", "Cookie")
    values = ("x" * 100_000, "\xff\xfe", "", "a,b", "%s%n{0}", "\x1b[2J")
    number = count()
    for name, value, (method, path) in product(names, values, routes):
        site.clock.advance(10)
        for headers in ([(name, value)], [(name, value), (name, value)]):
            # A token that was never tried, and time for the budgets, so that each request goes as far as it can.
            answer = site.raw(path, method=method, query=f"token={PLAUSIBLE}{next(number)}", headers=headers)
            assert answer.status_code < 500, (name, value[:10], method, path)


def test_hp_05_an_absurd_content_length_never_crashes_a_route_of_ours(served):
    """DS-08: over a real server, which may refuse it itself. `"\u00b2".isdigit()` is true and int() of it raises."""
    _, line = served
    kind = b"Content-Type: application/x-www-form-urlencoded"
    for length in ("\xb2", "\u0661", "1" * 5_000, "-1", "+5", " 5", "0x5", "5_0", "1e1", "", "5, 5"):
        header = b"Content-Length: " + length.encode("utf-8" if ord(length[:1] or "a") > 255 else "latin-1")
        for path in (LOGOUT, LOGIN):
            answer = line.request(path.encode(), kind, header, method=b"POST", body=b"a=b&c")
            assert answer.status in (0, 400, 403), length


def test_hp_07_an_address_too_long_to_come_back_to_is_not_named(make_site):
    """OR-13, DS-07: the start refuses such a `next` anyway, and proxies answer 502 to a Location of many kB."""
    site = make_site(protect="all")
    for path in ("/private", "/private/" + "a" * 10_000):
        answer = site.raw(path, query="a=" + "%" * 10_000, headers=list(NAVIGATION.items()))
        assert answer.status_code == 302
        assert len(answer.headers["location"]) <= 4_096


def test_hp_02_the_operators_own_proxy_layer_is_believed_and_still_only_picks(make_fx):
    """HP-02: ProxyFix outside of us; a host that is not registered is none."""
    uris = ("https://one.example/xwms/validateToken", "https://two.example/xwms/validateToken")
    site = Site("flask", make_fx(), redirect_uris=uris)
    site.app = ProxyFix(site.app, x_host=1, x_proto=1)
    for host, status in (("two.example", 302), ("evil.example", 400), ("one.example, two.example", 302)):
        answer = site.raw(LOGIN, headers=[*FROM_HERE.items(), ("X-Forwarded-Host", host)], host="inner")
        assert answer.status_code == status
    assert {call.json["redirect_url"] for call in site.fx.to("sign-token")} == {uris[1]}


def test_hp_07_an_asgi_scope_with_only_the_required_keys_is_served(make_fx):
    """HP-07: servers leave out what the specification lets them, or say None."""
    site = Site("asgi", make_fx(), **GUARDED)
    inner = site.app
    for missing in ("client", "server", "raw_path", "root_path", "query_string", "scheme"):
        for value in (None, "absent"):

            async def app(scope: Any, receive: Any, send: Any, missing: str = missing, value: Any = value) -> None:
                scope.pop(missing, None)
                if value is None and missing in ("client", "server", "raw_path"):
                    scope[missing] = None
                await inner(scope, receive, send)

            site.app = app
            for path, status in (("/hello", 401), (LOGIN, 302), (CALLBACK, 400), (ME, 200), ("/h\u00e9llo", 401)):
                assert site.raw(path, headers=list(PROGRAM.items())).status_code == status, (missing, value, path)
