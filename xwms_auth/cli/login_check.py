"""One login over real HTTP, as a browser does it: `xwms-auth dev --check`.

The sandbox's automatic login approves the request. Never prints a token: URLs are shown without their query.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

import httpx2

NAVIGATION_HEADERS: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
}

# A login takes three requests: login, sandbox, callback. Three times that is a redirect loop.
_MAX_REQUESTS: Final = 10

_ERROR_CODE: Final = re.compile(r"<code>([a-z_]+)</code>|\"code\": ?\"([a-z_]+)\"")


class CheckFailed(Exception):
    """The login failed; the text is one line that says where it stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The signed-in person, as `/xwms/me` reports it."""

    sub: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where a login starts, and who is signed in is told."""

    login: str
    me: str


def log_in(app_url: str, *, callback_url: str, origin: str, paths: Paths, target: str, seconds: float = 10.0) -> Person:
    """Start a login at the app at ``app_url`` (no trailing slash), follow it to its callback, then ask who it is.

    What the app's own ``origin`` would be asked, ``app_url`` is: a front-end server need not run. ``target`` is for
    what to do next, ``seconds`` is the timeout of each request. Raises `CheckFailed`.
    """
    # Without the environment's proxies: all requests are to this machine.
    with httpx2.Client(headers=NAVIGATION_HEADERS, timeout=seconds, trust_env=False) as client:
        request = client.build_request("GET", app_url + paths.login)
        for _ in range(_MAX_REQUESTS):
            at_app, is_callback = _url_at(app_url, request.url, origin), _without_query(request.url) == callback_url
            response = _send(client, client.build_request("GET", at_app))
            if response.next_request is None:
                raise CheckFailed(f"the login stopped at {_described(response)}{_next_step(response, paths, target)}")
            if is_callback:
                # The next redirect leads to the app's own page, which may not exist yet.
                return _person(_send(client, client.build_request("GET", app_url + paths.me)))
            request = response.next_request
    raise CheckFailed(f"the login did not end after {_MAX_REQUESTS} redirects")


def _url_at(app_url: str, url: httpx2.URL, origin: str) -> str:
    text = str(url)
    return app_url + text.removeprefix(origin) if text.startswith(f"{origin}/") else text


def _next_step(response: httpx2.Response, paths: Paths, target: str) -> str:
    if response.request.url.path != paths.login or code_in(response):
        return ""
    return (
        ": the app has no login there; add XWMSAuth(app) in Flask or XWMSAuthMiddleware elsewhere, or set "
        f"XWMS_LOGIN_PATH, and see what there is with: xwms-auth routes {target}"
    )


def _send(client: httpx2.Client, request: httpx2.Request) -> httpx2.Response:
    try:
        return client.send(request)
    except httpx2.HTTPError as error:
        raise CheckFailed(f"GET {_without_query(request.url)} got no response: {type(error).__name__}") from None


def _person(response: httpx2.Response) -> Person:
    if response.status_code != 200:
        raise CheckFailed(_described(response))
    try:
        match json.loads(response.text):
            case {"user": {"sub": str(sub)} as user}:
                name = user.get("name")
                return Person(sub=sub, name=name if isinstance(name, str) else "no name")
            case {"user": None}:
                raise CheckFailed(f"{_described(response)}: nobody is signed in")
            case _:
                raise CheckFailed(f"{_described(response)} and does not say who is signed in")
    except ValueError:
        raise CheckFailed(f"{_described(response)}, but not with JSON") from None


def code_in(response: httpx2.Response) -> str:
    """The code of our page or problem document, or nothing."""
    found = _ERROR_CODE.search(response.content.decode(errors="replace"))
    return found[1] or found[2] if found else ""


def _described(response: httpx2.Response) -> str:
    described = f"GET {_without_query(response.request.url)}, which responded with {response.status_code}"
    return f"{described} {code_in(response)}".rstrip()


def _without_query(url: httpx2.URL) -> str:
    return str(url.copy_with(query=None, fragment=None))
