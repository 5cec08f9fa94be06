"""One person's whole login over real HTTP, as a browser does it, at one or several sites that one browser visits.

protected page -> login -> XWMS (which approves by itself) -> callback -> the page with the person -> websocket ->
logout -> refused.
"""

import json
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, PROGRAM, TYPED

NAME = "Anna de Vries"
SECONDS = 15.0
"""For one answer."""

DEADLINE = 120.0
"""For all that one browser does, in seconds."""


class Failed(Exception):
    """The story went otherwise; the text is one line that says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """A site as its visitors see it; `base` has the prefix, if there is one, and no slash at its end.

    `page` needs a person and says the name; the page at `/` says `nobody` if none is signed in.
    """

    base: str
    page: str = "/private"
    nobody: str = "nobody"
    websocket: bool = False
    http2: bool = False

    @property
    def origin(self) -> str:
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.netloc}"


class _ThisMachine(httpx2.HTTPTransport):
    """Finds every host here, as an entry in the hosts file would; name, Host and certificate stay the site's."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if url.host.endswith(".test"):
            extensions = {**request.extensions, "sni_hostname": url.host}
            url = url.copy_with(host="127.0.0.1")
            request = httpx2.Request(
                request.method, url, headers=request.headers, stream=request.stream, extensions=extensions
            )
        return super().handle_request(request)


def _tls(certificate: Path) -> ssl.SSLContext:
    """A new one each time: an HTTP/2 client offers its protocol in it."""
    return ssl.create_default_context(cafile=str(certificate))


def browser(*, certificate: Path, http2: bool = False, keep_alive: bool = True) -> httpx2.Client:
    limits = httpx2.Limits(max_keepalive_connections=None if keep_alive else 0)
    transport = _ThisMachine(verify=_tls(certificate), http2=http2, limits=limits)
    # Anybody can send these; nothing may come of them.
    lies = {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "203.0.113.7", "Forwarded": "host=evil.example"}
    hop = {} if keep_alive or http2 else {"Connection": "close"}
    ends = time.monotonic() + DEADLINE

    def in_time(request: httpx2.Request) -> None:
        if time.monotonic() > ends:
            raise Failed(f"not at its end after {DEADLINE:.0f} seconds")

    return httpx2.Client(
        transport=transport, headers={**lies, **hop}, timeout=SECONDS, event_hooks={"request": [in_time]}
    )


def tell(sites: Sequence[Visited], *, certificate: Path, keep_alive: bool) -> None:
    """Raises `Failed`. With several sites the logins of all are there before the first one ends."""
    with browser(certificate=certificate, http2=any(site.http2 for site in sites), keep_alive=keep_alive) as client:
        try:
            for site in sites:
                _log_in(client, site)
            for site in sites:
                _is_signed_in(client, site, certificate)
            for site in sites:
                _log_out(client, site, certificate)
        except httpx2.HTTPError as error:
            where = error.request.url.copy_with(query=None) if error._request else "?"
            raise Failed(f"{where} got no answer: {type(error).__name__} {error}") from None


def _expect(step: str, response: httpx2.Response, status: int, location: str | None = None) -> httpx2.Response:
    at = response.headers.get("location", "")
    if response.status_code != status or (location is not None and not at.startswith(location)):
        shown = f"{response.status_code} {at.partition('?token')[0]} {' '.join(response.text.split())[:160]}"
        raise Failed(f"{step}: wanted {status} {location or ''}, got {shown}".strip())
    if response.http_version == "HTTP/1.0" and "transfer-encoding" in response.headers:
        raise Failed(f"{step}: chunks in HTTP/1.0")
    return response


def _expect_text(step: str, response: httpx2.Response, text: str) -> None:
    if text not in _expect(step, response, 200).text:
        raise Failed(f"{step}: {text!r} is not in {response.text[:160]!r}")


def _log_in(client: httpx2.Client, site: Visited) -> None:
    page = f"{site.base}{site.page}?page=2"
    prefix = urlsplit(site.base).path
    asked = _expect("protected page", client.get(page, headers=TYPED), 302)
    start = httpx2.URL(page).join(asked.headers["location"])
    if start.path != f"{prefix}/xwms/auth" or start.params.get("next") != f"{prefix}{site.page}?page=2":
        raise Failed(f"protected page: leads to {start}")
    if str(start.copy_with(query=None, path="/")) != f"{site.origin}/":
        raise Failed(f"protected page: leads to another origin, {start}")
    left = _expect("login", client.get(start, headers=TYPED), 302)
    away = left.headers["location"]
    approved = client.get(away, headers=FROM_ELSEWHERE)
    if approved.status_code not in {302, 303}:
        raise Failed(f"XWMS: {approved.status_code} {approved.text[:160]}")
    callback = approved.headers["location"]
    if not callback.startswith(f"{site.base}/xwms/validateToken?"):
        raise Failed(f"XWMS leads to {callback.partition('?')[0]}")
    back = _expect("callback", client.get(callback, headers=FROM_ELSEWHERE), 303)
    home = httpx2.URL(callback).join(back.headers["location"])
    if str(home) != page:
        raise Failed(f"callback: leads to {home}")
    _expect_text("page with the person", client.get(home, headers=FROM_HERE), NAME)


def _is_signed_in(client: httpx2.Client, site: Visited, certificate: Path) -> None:
    page = client.get(f"{site.base}{site.page}?page=2", headers=FROM_HERE)
    _expect_text("page again", page, NAME)
    if "no-store" not in page.headers.get("cache-control", ""):
        raise Failed(f"page again: Cache-Control is {page.headers.get('cache-control')}")
    me = _expect("me", client.get(f"{site.base}/xwms/me", headers=PROGRAM), 200)
    if json.loads(me.text)["user"]["name"] != NAME:
        raise Failed(f"me: {me.text[:160]}")
    if site.websocket and (said := _websocket(client, site, certificate)) != NAME:
        raise Failed(f"websocket: {said}")


def _log_out(client: httpx2.Client, site: Visited, certificate: Path) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    headers = {**FROM_HERE, **form, "Origin": site.origin}
    elsewhere = {**FROM_ELSEWHERE, **form, "Origin": "https://evil.example"}
    foreign = client.post(f"{site.base}/xwms/logout", headers=elsewhere, content=b"")
    _expect("logout from elsewhere", foreign, 403)
    done = client.post(f"{site.base}/xwms/logout", headers=headers, content=b"")
    _expect("logout", done, 303)
    _expect("page after the logout", client.get(f"{site.base}{site.page}", headers=FROM_HERE), 302)
    refused = client.get(f"{site.base}{site.page}", headers=PROGRAM)
    if _expect("program after the logout", refused, 401).json()["code"] != "login_required":
        raise Failed("program after the logout: another code")
    if site.websocket and (said := _websocket(client, site, certificate)) != "refused":
        raise Failed(f"websocket after the logout: {said}")
    _expect_text("public page", client.get(f"{site.base}/", headers=FROM_HERE), site.nobody)


def _websocket(client: httpx2.Client, site: Visited, certificate: Path) -> str:
    """What the socket says first, or "refused"."""
    cookie = client.build_request("GET", f"{site.base}/ws").headers.get("cookie", "")
    url = f"ws{site.base.removeprefix('http')}/ws"
    tls = _tls(certificate) if url.startswith("wss") else None
    headers = {"Cookie": cookie} if cookie else {}
    # Not every server answers the closing; what was said before counts.
    options = {"open_timeout": SECONDS, "close_timeout": 0.2, "proxy": None}
    with (
        suppress(InvalidStatus),
        connect(url, additional_headers=headers, origin=site.origin, ssl=tls, **options) as socket,
    ):
        try:
            return str(socket.recv(SECONDS))
        except ConnectionClosed as closed:
            # Some frameworks accept each handshake before the application sees it.
            if closed.rcvd is None or closed.rcvd.code != 1008:
                raise Failed(f"websocket: closed with {closed}") from None
    return "refused"
