"""The application that many people visit at once, and real servers with several processes to visit it on.

  /public   asks nothing about anybody      /who    the sub, for those who are signed in
  /page     the sub or "nobody"             /slow   the sub in five pieces, with a look into the store between them
  /pid      of the process that answers     /token  the access token, where the login was by OAuth 2.0

Flask runs on gunicorn, ASGI on uvicorn; every process reads `XWMS_…` from its environment and shares one socket.

Knows: servers.
Must not: know who visits.
"""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import flask
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from xwms_auth import StoreUnavailable

PIECES = 5
CUT_SHORT = "The store does not answer."
THREADS = 16  # of one gunicorn process
CALLBACK = "/xwms/validateToken"
PATIENCE = 30.0


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(app)
    user = xwms_auth.flask.current_user

    @app.get("/public")
    def public() -> str:
        return "for everybody"

    @app.get("/who")
    @xwms_auth.flask.login_required
    def who() -> str:
        return f"{user.sub}"

    @app.get("/page")
    def page() -> str:
        return f"<p>Hello {user.sub or 'nobody'}</p>"

    @app.get("/pid")
    def pid() -> str:
        return f"{os.getpid()}"

    app.add_url_rule("/token", "token", auth.access_token)

    @app.get("/slow")
    @xwms_auth.flask.login_required
    def slow() -> flask.Response:
        def pieces() -> Iterator[str]:
            for _ in range(PIECES):
                try:
                    yield f"{user.sub} has {len(auth.sessions.list(str(user.sub)))}\n"
                except StoreUnavailable:
                    yield CUT_SHORT
                    return

        return flask.Response(flask.stream_with_context(pieces()), mimetype="text/plain")

    return app


def asgi_app() -> Any:
    async def public(request: Request) -> Response:
        return PlainTextResponse("for everybody")

    @xwms_auth.starlette.login_required
    async def who(request: Request) -> Response:
        return PlainTextResponse(f"{request.user.sub}")

    async def page(request: Request) -> Response:
        return Response(f"<p>Hello {request.user.sub or 'nobody'}</p>", media_type="text/html")

    async def pid(request: Request) -> Response:
        return PlainTextResponse(f"{os.getpid()}")

    async def token(request: Request) -> Response:
        return PlainTextResponse(await request.auth.access_token())

    @xwms_auth.starlette.login_required
    async def slow(request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            # A visitor who leaves cancels this wherever it stands, also in the middle of an answer of the store's.
            for _ in range(PIECES):
                try:
                    mine = await request.auth.sessions.list(request.user.sub)
                except StoreUnavailable:
                    yield CUT_SHORT
                    return
                yield f"{xwms_auth.starlette.current_user.sub} has {len(mine)}\n"

        return StreamingResponse(pieces(), media_type="text/plain")

    pages = {"/public": public, "/who": who, "/page": page, "/pid": pid, "/token": token, "/slow": slow}
    routes = [Route(path, endpoint) for path, endpoint in pages.items()]
    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes))


@contextmanager
def served(
    edge: str, settings: Mapping[str, str], log: Path, *, workers: int, module: str = "tests.stores.people_app"
) -> Iterator[tuple[str, int]]:
    """Serve the application from so many processes on one free port; what they complain about is added to `log`.

    `module` has a `flask_app`, and serves its other one if it is started with the number of a socket.
    """
    with ExitStack() as stack:
        bound = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        # Inherited by every connection: otherwise the second half of an answer waits for the first to be acknowledged.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        complaints = stack.enter_context(log.open("ab"))
        number = str(bound.fileno())
        commands = [[sys.executable, "-m", module, number]] * workers
        if edge == "flask":
            options = ["--bind", f"fd://{number}", "--workers", str(workers), "--threads", str(THREADS)]
            options += ["--keep-alive", "120", "--log-level", "warning", "--worker-tmp-dir", str(log.parent)]
            commands = [[sys.executable, "-m", "gunicorn", *options, f"{module}:flask_app()"]]
        environ = {**os.environ, "PYTHONPATH": str(Path.cwd()), "PYTHONWARNINGS": "default", **settings}
        processes = [
            stack.enter_context(
                subprocess.Popen(command, pass_fds=[bound.fileno()], env=environ, stdout=complaints, stderr=complaints)
            )
            for command in commands
        ]
        stack.callback(_end, processes)
        # The socket listens already, so whoever connects waits for the servers by being served.
        yield bound.getsockname()


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def serve(app: Any, number: int) -> None:
    """Serve an ASGI application from the socket with this number."""
    options: dict[str, Any] = {"log_level": "warning", "access_log": False, "timeout_keep_alive": 120, "lifespan": "on"}
    with socket.socket(fileno=number) as bound:
        uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=5, **options)).run(sockets=[bound])


if __name__ == "__main__":
    serve(asgi_app(), int(sys.argv[1]))
