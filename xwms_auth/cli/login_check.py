"""One login over real HTTP, as a browser does it: `xwms-auth dev --check`.

Knows: the addresses of the login, the headers of a person who types an address, and what `/xwms/me` answers.
Must not: approve anything (the sandbox's automatic login does), or print a token: of a URL only its path is shown.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

import httpx2

_TYPED_BY_A_PERSON: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
}

# login, sandbox, callback: three requests; three times that is a loop.
_MOST_REQUESTS: Final = 10

_ERROR_CODE: Final = re.compile(r"<code>([a-z_]+)</code>|\"code\": ?\"([a-z_]+)\"")


class CheckFailed(Exception):
    """The login did not end with a person; the text is one line that says where it stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who `/xwms/me` says is signed in."""

    sub: str
    name: str


def log_in(app_url: str, *, callback_url: str, seconds: float = 10.0) -> Person:
    """Follow `/xwms/auth` of the app at ``app_url`` (no last slash) to its callback, then ask `/xwms/me` who it is.

    ``seconds`` is for each request. Errors: `CheckFailed`.
    """
    # Without the environment's proxies: everything asked for is on this machine.
    with httpx2.Client(headers=_TYPED_BY_A_PERSON, timeout=seconds, trust_env=False) as client:
        request = client.build_request("GET", f"{app_url}/xwms/auth")
        for _ in range(_MOST_REQUESTS):
            response = _send(client, request)
            if response.next_request is None:
                raise CheckFailed(f"the login stopped at {_answer(response)}")
            if _without_query(request.url) == callback_url:
                # Where the login leads next is the app's own page, which may not exist yet.
                return _person(_send(client, client.build_request("GET", f"{app_url}/xwms/me")))
            request = response.next_request
    raise CheckFailed(f"{_MOST_REQUESTS} redirects and no end")


def _send(client: httpx2.Client, request: httpx2.Request) -> httpx2.Response:
    try:
        return client.send(request)
    except httpx2.HTTPError as fault:
        raise CheckFailed(f"GET {_without_query(request.url)} got no answer: {type(fault).__name__}") from None


def _person(response: httpx2.Response) -> Person:
    if response.status_code != 200:
        raise CheckFailed(_answer(response))
    try:
        match json.loads(response.text):
            case {"user": {"sub": str(sub)} as user}:
                name = user.get("name")
                return Person(sub=sub, name=name if isinstance(name, str) else "no name")
            case {"user": None}:
                raise CheckFailed(f"{_answer(response)}: nobody is signed in")
            case _:
                raise CheckFailed(f"{_answer(response)}, which does not say who is signed in")
    except ValueError:
        raise CheckFailed(f"{_answer(response)}, which is not JSON") from None


def _answer(response: httpx2.Response) -> str:
    code = _ERROR_CODE.search(response.text)
    told = f" {code[1] or code[2]}" if code else ""
    return f"GET {_without_query(response.request.url)}, which answered {response.status_code}{told}"


def _without_query(url: httpx2.URL) -> str:
    return str(url.copy_with(query=None, fragment=None))
