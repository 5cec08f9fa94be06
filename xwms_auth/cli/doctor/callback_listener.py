"""A server on this machine that stands where the callback will be, and leads one person through a few logins.

It keeps what comes back from XWMS in memory and shows none of it. The address of XWMS's sign-in page, which may hold a
token, is never printed: the browser is sent there from here.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Generator
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from xwms_auth._core.base.models import Secret
from xwms_auth._core.http.urls import RedirectURI

GUIDE: Final = "/first-contact"
_GO, _NOTHING, _ICON = f"{GUIDE}/go", f"{GUIDE}/nothing", "/favicon.ico"
_SECONDS_TO_PREPARE: Final = 60.0
"""For the calls between two steps. The browser waits meanwhile."""

_SECONDS_TO_SEE_THE_END: Final = 5.0

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>First contact with XWMS</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:2rem auto;padding:0 1rem}}
a{{display:inline-block;padding:.5rem 0}}</style>
<main><h1>First contact with XWMS</h1>{body}</main></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the person is to do, and where XWMS's sign-in page for it is."""

    title: str
    text: str
    sign_in: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A browser that came back: to which path, with parameters of which names, and with which token, if any."""

    path: str
    names: tuple[str, ...]
    token: Secret | None
    token_name: str = ""


class CallbackListener:
    """Listens at a redirect URI on this machine, whose host and port must be free. Raises `OSError` if not."""

    def __init__(self, uri: RedirectURI) -> None:
        self._uri = uri
        self._arrivals: queue.Queue[Arrival | None] = queue.Queue()
        self._step: Step | None = None
        self._has_left = False
        self._is_over = False
        self._changed = threading.Condition()
        self._has_seen_the_end = threading.Event()
        self._somebody_came = False

        listener = self

        class Handler(_Handler):
            owner = listener

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in uri.host else socket.AF_INET
            daemon_threads = True

        host = uri.host.strip("[]")
        self._server = Server(("127.0.0.1" if host == "localhost" else host, uri.port or 80), Handler)

    @property
    def guide(self) -> str:
        """The address for the person's browser."""
        return self._uri.origin + GUIDE

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        """Answer requests meanwhile."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
            if self._somebody_came:
                self._has_seen_the_end.wait(_SECONDS_TO_SEE_THE_END)
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def lead(self, step: Step, *, seconds: float) -> Arrival | None:
        """What comes back of this step; None if the person says that nothing does. Raises `TimeoutError`."""
        with self._changed:
            self._step, self._has_left = step, False
            self._changed.notify_all()
        try:
            arrival = self._arrivals.get(timeout=seconds)
            self._somebody_came = True
            return arrival
        except queue.Empty:
            raise TimeoutError from None

    def current(self) -> Step | None:
        """The step that the person is at, once it is prepared; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._step is not None or self._is_over, timeout=_SECONDS_TO_PREPARE)
            return self._step

    def leave(self) -> Step | None:
        """The step whose sign-in page the browser goes to now: only from then on can something come back."""
        with self._changed:
            step = self.current()
            self._has_left = step is not None
            return step

    def end_was_shown(self) -> None:
        """The browser has the last page, so that this may end."""
        self._has_seen_the_end.set()

    def arrived(self, arrival: Arrival | None) -> None:
        """Take this for the outcome of the step; None is the person's word for nothing.

        What comes without a step, such as a reload, is none, and neither is a page that somebody opens before they
        went to XWMS.
        """
        with self._changed:
            if self._step is None or (arrival is not None and not self._has_left):
                return
            self._step = None
        self._arrivals.put(arrival)

    def is_for_us(self, host: str | None) -> bool:
        """Whether a Host header names the redirect URI's host: another site's name may lead to this machine too."""
        return host in self._uri.host_names


class _Handler(BaseHTTPRequestHandler):
    owner: CallbackListener

    def do_GET(self) -> None:
        """A page of the guide, the way to XWMS, or what comes back from there."""
        parts = urlsplit(self.path)
        if not self.owner.is_for_us(self.headers.get("Host")):
            self._answer(400, "<p>This is not the address of the guide.</p>")
        elif self.headers.get("Sec-Fetch-Dest", "document") != "document" or parts.path == _ICON:
            self._answer(404, "")
        elif parts.path == GUIDE:
            step = self.owner.current()
            self._answer(200, _shown(step))
            if step is None:
                self.owner.end_was_shown()
        elif parts.path == _GO:
            step = self.owner.leave()
            self._redirect(step.sign_in.reveal() if step else GUIDE)
        else:
            self.owner.arrived(None if parts.path == _NOTHING else _arrival(parts.path, parts.query))
            # At once to an address without the token: it would stay in the history.
            self._redirect(GUIDE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the signature of the base class
        """Nothing: a request's address has the token in it."""

    def _answer(self, status: int, body: str) -> None:
        content = _PAGE.format(body=body).encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": "text/html; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _redirect(self, place: str) -> None:
        self.send_response(303)
        for name, value in {**_HEADERS, "Location": place, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()


def _arrival(path: str, query: str) -> Arrival:
    found = dict(reversed(parse_qsl(query, keep_blank_values=True, max_num_fields=100)))
    name = next((name for name in ("token", "access_token") if found.get(name)), "")
    token = Secret(found[name]) if name else None
    return Arrival(path=path, names=tuple(sorted(found)), token=token, token_name=name)


def _shown(step: Step | None) -> str:
    if step is None:
        return "<p>That was all. The terminal has what was seen.</p>"
    return (
        f"<h2>{escape(step.title)}</h2><p>{escape(step.text)}</p>"
        f'<p><a href="{_GO}" rel="noreferrer">Go to XWMS</a></p>'
        f"<p>If XWMS does not bring you back: come back to this page, and say so.<br>"
        f'<a href="{_NOTHING}">Nothing brought me back</a></p>'
    )
