"""A site with pages that say to caches what a test tells them to, behind both edges.

/open       asks who is there            /guarded  needs a login
/quiet      is passive, needs a login    /late     asks while its body is made, of a known length
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import flask
import httpx2
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import NAVIGATION, Site

Headers = Sequence[tuple[str, str]]


class Said:
    """The headers of the next answers."""

    headers: Headers = ()


def saying(site: Site) -> Said:
    """Add the pages to a site; gives what they say."""
    said = Said()
    (_flask_pages if site.edge == "flask" else _asgi_pages)(site, said)
    return said


def _flask_pages(site: Site, said: Said) -> None:
    user, guard, passive = xwms_auth.flask.current_user, xwms_auth.flask.login_required, xwms_auth.flask.passive

    def page() -> flask.Response:
        answer = flask.Response(f"{user.sub}")
        for name, value in said.headers:
            answer.headers.add(name, value)
        return answer

    def late() -> flask.Response:
        def pieces() -> Iterator[str]:
            yield f"{user.sub}"[:4].ljust(4)

        headers = [*said.headers, ("Content-Length", "4")]
        return flask.Response(flask.stream_with_context(pieces()), headers=headers)

    site.app.add_url_rule("/open", "open", page)
    site.app.add_url_rule("/guarded", "guarded", guard(page))
    site.app.add_url_rule("/quiet", "quiet", passive(guard(page)))
    site.app.add_url_rule("/late", "late", late)


def _asgi_pages(site: Site, said: Said) -> None:
    guard, passive = xwms_auth.starlette.login_required, xwms_auth.starlette.passive

    def with_headers(answer: Response) -> Response:
        answer.raw_headers += [(name.lower().encode(), value.encode()) for name, value in said.headers]
        return answer

    async def page(request: Request) -> Response:
        return with_headers(Response(str(request.user.sub)))

    async def late(request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield str(request.user.sub)[:4].ljust(4)

        return with_headers(StreamingResponse(pieces(), headers={"Content-Length": "4"}))

    routes: Any = site.app.app.router.routes
    routes += [Route("/open", page), Route("/guarded", guard(page)), Route("/quiet", passive(guard(page)))]
    routes += [Route("/late", late)]


def ask(site: Site, path: str, cookie: str, *more: tuple[str, str]) -> httpx2.Response:
    """One request with exactly this session cookie."""
    sent = [*NAVIGATION.items(), ("Cookie", f"{site.session_cookie}={cookie}"), *more]
    return site.raw(path, headers=sent)


def session_in(site: Site, answer: httpx2.Response) -> str | None:
    """The session cookie that the answer brings."""
    values = [
        found[1]
        for line in answer.headers.get_list("set-cookie")
        if (found := re.match(rf"{site.session_cookie}=([^;]*)", line))
    ]
    assert len(values) < 2
    return values[0] if values else None


def lines(answer: httpx2.Response, name: str) -> list[str]:
    return answer.headers.get_list(name)


def a_cache_may_keep(answer: httpx2.Response) -> bool:
    """Whether some shared cache may keep the answer that it has, read as a careful one and as one that is not.

    A reading of its own, of RFC 9111, RFC 9213 and of what vendors write, to compare with.
    """
    for name, value in answer.headers.multi_items():
        if name == "cache-control" or not (name.endswith("-control") or name == "x-accel-expires"):
            continue
        if name in ("x-dns-prefetch-control",):
            continue
        if value != "0" and not re.search(r"(^|, ?)(no-store|private)(,|$)", re.sub(r'"[^"]*"', "", value)):
            return True
    directives = [re.sub(r'"[^"]*("|$)', '""', part).strip().lower() for part in lines(answer, "cache-control")]
    said = [one.strip() for line in directives for one in line.split(",")]
    return not {"private", "no-store"} & set(said)
