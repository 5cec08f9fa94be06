"""CK-14 over HTTP: a cache between people and the site gives nobody the page or the cookie of another."""

from collections.abc import AsyncIterator, Iterator

import flask
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

import xwms_auth.flask
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN, LOGOUT, ME, NAVIGATION, PROGRAM, Site


def session_of(site: Site, **claims: object) -> str:
    browser = site.browser()
    browser.log_in(**claims)
    return browser.cookies()[site.session_cookie]


class Cache:
    """A shared cache between browsers and the site: keeps what it may (RFC 9111), `careless` ones ignore Vary."""

    def __init__(self, site: Site, *, careless: bool = False) -> None:
        self.site = site
        self.careless = careless
        self.kept: list[tuple[str, dict[str, str | None], httpx2.Response]] = []

    def get(self, path: str, cookie: str | None) -> httpx2.Response:
        sent = {"cookie": cookie, **{name.lower(): value for name, value in NAVIGATION.items()}}
        for kept_path, varying, answer in self.kept:
            if kept_path == path and (self.careless or all(sent.get(name) == was for name, was in varying.items())):
                return answer
        headers = [*NAVIGATION.items(), *([("Cookie", cookie)] if cookie else [])]
        answer = self.site.raw(path, headers=headers)
        control = answer.headers.get("cache-control", "")
        vary = [name.strip().lower() for name in answer.headers.get("vary", "").split(",") if name.strip()]
        if "no-store" not in control and "private" not in control and "*" not in vary:
            self.kept.append((path, {name: sent.get(name) for name in vary}, answer))
        return answer


PATHS = ("/", "/hello", "/private", "/who", "/cached", ME, LOGIN, f"{CALLBACK}?token=a")


@pytest.mark.parametrize("order", ["anna first", "nobody first"])
def test_ck_14_a_shared_cache_gives_nobody_the_page_or_the_cookie_of_another(site, order):
    """CK-14: two people and nobody, with and without a renewal on the way."""
    people = {name: f"{site.session_cookie}={session_of(site, sub=name, name=name)}" for name in ("anna", "bob")}
    visitors: list[tuple[str, str | None]] = [("nobody", None), *people.items()]
    for seconds in (0, 601):
        site.clock.advance(seconds)
        cache = Cache(site)
        for name, cookie in visitors if order == "nobody first" else reversed(visitors):
            for path in (path for path in PATHS if path != "/cached" or cookie):
                answer = cache.get(path, cookie)
                others = {"anna", "bob"} - {name}
                assert not any(other in answer.text for other in others), (path, name)


def test_ck_14_an_answer_that_the_application_calls_public_carries_no_session(site):
    """CK-14, CVE-2025-48947: a cache that ignores Vary would hand the renewed session to everybody."""
    cookie = f"{site.session_cookie}={session_of(site)}"
    site.clock.advance(601)
    answer = Cache(site, careless=True).get("/cached", cookie)
    assert "public" in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("name", ["CDN-Cache-Control", "Surrogate-Control"])
@pytest.mark.parametrize(("said", "rides"), [("public, max-age=60", False), ("private", True)])
def test_ck_14_what_is_said_to_the_caches_of_others_counts_too(site, name, said, rides):
    """CK-14, RFC 9213: for a cache that knows such a header it outranks our `private, no-store`."""
    if site.edge == "flask":
        user = xwms_auth.flask.current_user
        site.app.add_url_rule("/cdn", "cdn", lambda: flask.Response(f"hello {user.name}", headers={name: said}))
    else:

        async def cdn(request: Request) -> Response:
            return Response(f"hello {request.user.name}", headers={name: said})

        site.app.app.add_route("/cdn", cdn)
    cookie = f"{site.session_cookie}={session_of(site)}"
    site.clock.advance(601)
    answer = site.raw("/cdn", headers=[*NAVIGATION.items(), ("Cookie", cookie)])
    assert ("set-cookie" in answer.headers) is rides


def test_ck_14_every_answer_of_our_routes_is_stored_by_nobody(site, browser):
    """CK-14: redirects, pages, documents and errors."""
    answers = [browser.get(LOGIN), browser.get(LOGIN, FROM_ELSEWHERE), browser.log_in(), browser.get(ME, PROGRAM)]
    answers += [browser.get(LOGIN), browser.come_back("a-token-of-nobody"), browser.get(LOGOUT), browser.log_out()]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def add_stream(site: Site) -> None:
    """A page that asks who is there only when its first line goes out."""
    if site.edge == "flask":

        def lines() -> Iterator[str]:
            yield f"hello {xwms_auth.flask.current_user.name}"

        site.app.add_url_rule("/stream", "stream", lambda: flask.Response(flask.stream_with_context(lines())))
        return

    async def stream(request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            yield f"hello {request.user.name}"

        return StreamingResponse(lines())

    site.app.app.add_route("/stream", stream)


def test_ck_14_a_streamed_page_that_names_somebody_is_for_nobody_else(site, browser):
    """CK-14: headers are fixed before a generator runs, so the page's first line is too late to ask unnoticed."""
    add_stream(site)
    browser.log_in(name="Anna")
    page = browser.get("/stream")
    assert page.text == "hello Anna"
    assert page.headers.get("vary") == "Cookie"
    assert page.headers.get("cache-control") == "private, no-store"
