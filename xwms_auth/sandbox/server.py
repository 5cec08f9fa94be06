"""A local XWMS as an HTTP server in a thread of this process."""

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
from xwms_auth.sandbox.web.responses import OAUTH_METADATA


class _QuietHandler(HandlerWithFaults):
    """Logs nothing: a request line may contain a token, and Werkzeug would add a handler to the root logger."""

    timeout: ClassVar[float | None] = 30  # seconds, so that an idle connection does not keep its thread forever

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  the signature of the base class
        pass


class SandboxServer:
    """A local XWMS server: a context manager, or `start()` and `stop()`.

    port: 0 selects a free one, which is known after the start.
    public_url: the URL that browsers use, if it is not `http://host:port`.
    On a loopback host only requests for a loopback name (or the host of `public_url`) are accepted.
    Without a database file every start begins empty.
    `start()` raises OSError if the address is in use, and `DatabaseUnusable`.
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
        """Its own URL, such as `http://127.0.0.1:8800`; RuntimeError before the start if the port is 0."""
        if self._public_url is not None:
            return self._public_url.rstrip("/")
        return self.local_url

    @property
    def local_url(self) -> str:
        """Where it listens, whatever browsers call it; RuntimeError before the start if the port is 0."""
        return _url(self._host, self.port)

    @property
    def port(self) -> int:
        """The port it listens on; RuntimeError before the start if it is to choose one."""
        port = self._running[0].port if self._running else self._port
        if port == 0:
            raise RuntimeError("The port is known once the server has started.")
        return port

    @property
    def api_url(self) -> str:
        """The base URL of the API, with a trailing slash: the value of `XWMS_API_URI` for an app."""
        return f"{self.url}/api/"

    @property
    def discovery_url(self) -> str:
        """Where the discovery document is, whatever the issuer is called."""
        return f"{self.url}{OAUTH_METADATA[1]}"

    @property
    def inside(self) -> Inside:
        """The database, faults and deliveries; RuntimeError if the server is not running."""
        if self._running is None:
            raise RuntimeError("The server is not running.")
        return self._running[2]

    def start(self) -> None:
        """Listen, and serve in a daemon thread; returns when connections are accepted."""
        if self._running:
            raise RuntimeError("The server is already running.")
        # The socket is created here because Werkzeug exits the process if the address is in use, and because the port
        # must be known before the app is created. Werkzeug uses a duplicate of the descriptor.
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
        """Stop listening; does nothing if the server is not running."""
        if self._running:
            server, thread, inside = self._running
            self._running = None
            inside.faults.close()  # first: a delayed response would block its thread
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
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104  a browser cannot open the wildcard address
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
