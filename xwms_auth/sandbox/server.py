"""A local XWMS on a socket: started and stopped in a thread of this process.

Knows the socket and the server's own address; what it serves is the app's business.
"""

import socket
import time
from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import ClassVar, Self

from werkzeug.serving import BaseWSGIServer, make_server

from xwms_auth.sandbox.app import Inside, create_app
from xwms_auth.sandbox.domain.urls import is_loopback
from xwms_auth.sandbox.faults.injection import HandlerWithFaults
from xwms_auth.sandbox.settings import SandboxSettings


class _QuietHandler(HandlerWithFaults):
    """Logs nothing: a request line may hold a token, and Werkzeug would give the root of logging a handler."""

    timeout: ClassVar[float | None] = 30  # seconds; a connection that says nothing does not keep its thread for ever

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  the parent's name
        pass


class SandboxServer:
    """A local XWMS that listens; a context manager, or `start()` and `stop()`.

    port: 0 takes a free one, known once started.
    public_url: the address browsers use, where it is not `http://host:port`.
    On a loopback host only requests for a loopback name (or the host of `public_url`) are answered.
    Without a database of its own every start begins with an empty memory.
    `start()` raises OSError when the address is taken, and `DatabaseUnusable`.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        host: str = "127.0.0.1",
        port: int = 8800,
        clock: Callable[[], float] = time.time,
        public_url: str | None = None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._port = port
        self._clock = clock
        self._public_url = public_url
        self._running: tuple[BaseWSGIServer, Thread, Inside] | None = None

    @property
    def url(self) -> str:
        """Its own address, such as `http://127.0.0.1:8800`; RuntimeError while a free port is still to be taken."""
        if self._public_url is not None:
            return self._public_url.rstrip("/")
        port = self._running[0].port if self._running else self._port
        if port == 0:
            raise RuntimeError("The port is known once the server has started.")
        return _url(self._host, port)

    @property
    def api_url(self) -> str:
        """The base of the API, with its last slash: what an app gets as `XWMS_API_URI`."""
        return f"{self.url}/api/"

    @property
    def inside(self) -> Inside:
        """Its database, its faults and its deliveries; RuntimeError while it is not running."""
        if self._running is None:
            raise RuntimeError("The server is not running.")
        return self._running[2]

    def start(self) -> None:
        """Listen, and answer in a daemon thread; returns once connections are accepted."""
        if self._running:
            raise RuntimeError("The server is already running.")
        # The socket is ours because Werkzeug ends the process when the address is taken, and because the app must know
        # its port before it is made. Werkzeug works on a duplicate of the descriptor.
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.create_server((self._host, self._port), family=family) as listener:
            port = int(listener.getsockname()[1])
            app = create_app(
                self._settings,
                clock=self._clock,
                public_url=self._public_url or _url(self._host, port),
                any_host=not is_loopback(self._host),
            )
            server = make_server(
                self._host, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
            )
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="xwms-sandbox", daemon=True)
        thread.start()
        self._running = server, thread, app.extensions["xwms_sandbox"]

    def stop(self) -> None:
        """Stop listening; does nothing when it is not running."""
        if self._running:
            server, thread, inside = self._running
            self._running = None
            inside.faults.close()  # first: an answer that is held back would keep its thread
            server.shutdown()
            thread.join()
            server.server_close()
            inside.deliveries.close()
            inside.database.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _url(host: str, port: int) -> str:
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104  every address is none a browser could open
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
