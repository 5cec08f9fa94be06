"""Asking a server that may be anything: with limits for its time and its size, and one exception for all that fails."""

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx2

from xwms_auth._core.http.urls import DEFAULT_PORTS

_MAX_BYTES: Final = 1 << 20
"""Of an answer. No page of the login has more than a tenth of it."""


class Unreachable(Exception):
    """There is no answer, or none that can be read; the text says why."""


def site_origin(address: str) -> str:
    """The origin of an address as people type it, in the form in which browsers send it. Raises ValueError."""
    parts = urlsplit(address.strip())
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("it has to begin with https:// (or http://) and a host")
    if "@" in parts.netloc:
        raise ValueError("leave the user and the password out")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    port = "" if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def fetch(client: httpx2.Client, url: str, *, seconds: float) -> httpx2.Response:
    """The answer to a GET, or the beginning of a long one. Raises `Unreachable`."""
    deadline = time.monotonic() + seconds
    body = b""
    try:
        with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > _MAX_BYTES or time.monotonic() > deadline:
                    break
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise Unreachable(_reason(error)) from None
    headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    return httpx2.Response(response.status_code, headers=headers, content=body, request=response.request)


def ahead(response: httpx2.Response) -> float | None:
    """Seconds by which the server's clock is ahead of this machine's; None if it does not say what time it is."""
    try:
        theirs = parsedate_to_datetime(response.headers.get("date", ""))
        # RFC 5322 writes -0000 for a time in UTC whose zone is unknown.
        return (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    """The innermost text: the outer ones repeat it, or say less."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return str(inner) or type(error).__name__
