"""Does a page of the application stay quick while XWMS accepts connections and says nothing?

Two stories, each on gunicorn with eight threads (Flask) and on uvicorn (Starlette):

- 24 anonymous visitors start a login at the same moment;
- 16 calls of an API bring one junk access token, and introspection does not answer.

Meanwhile one visitor opens `/ping` again and again, each time over a new connection. Beside it stands the same without
the story. Times are milliseconds. At the end: eight TLS handshakes at once that hang, with a timeout of two seconds.

    python benchmarks/hanging_xwms.py [--json] [--seconds N]
"""

import argparse
import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout, installed or not

import xwms_auth.flask
import xwms_auth.starlette
from xwms_auth import AsyncXWMSClient, XWMSClient, XWMSConfig, XWMSError

STARTS, TOKENS, THREADS, HANDSHAKES = 24, 16, 8, 8
BROWSER = {"User-Agent": "Mozilla/5.0", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
SECRET = "for-a-benchmark-only-0123456789-abcdefghij"


# The applications. gunicorn and uvicorn import this module for them.


def config(port: str, story: str) -> XWMSConfig:
    origin = f"http://127.0.0.1:{port}"
    options: dict[str, Any] = {}
    if story == "tokens":
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint")
        options = {"flow": "oauth2", "issuer": origin, **{name: f"{origin}/{name}" for name in names}}
    return XWMSConfig(
        client_id="client",
        client_secret="secret-of-a-benchmark",
        redirect_uris="http://127.0.0.1/xwms/validateToken",
        api_url=f"{origin}/api/",
        session_secret=SECRET,
        **options,
    )


def flask_app(port: str, story: str) -> Flask:
    app = Flask(__name__)
    xwms_auth.flask.XWMSAuth(app, config(port, story))
    app.get("/ping")(lambda: "pong")
    if story == "tokens":
        app.get("/api", endpoint="api")(xwms_auth.flask.token_required(lambda: "data"))
    return app


def starlette_app() -> Starlette:
    story = os.environ["STORY"]

    async def ping(request: Request) -> PlainTextResponse:
        return PlainTextResponse("pong")

    @xwms_auth.starlette.token_required
    async def api(request: Request) -> PlainTextResponse:
        return PlainTextResponse("data")

    routes = [Route("/ping", ping), *([Route("/api", api)] if story == "tokens" else [])]
    middleware = [Middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=config(os.environ["XWMS_PORT"], story))]
    return Starlette(routes=routes, middleware=middleware)


# The measurement.


def silent_server() -> socket.socket:
    """Accepts connections and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    kept: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                kept.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return listener


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def get(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.read()
        return answer.status


def serve(server: str, story: str, xwms: int, port: int) -> "subprocess.Popen[bytes]":
    if server == "gunicorn":
        app = f"benchmarks.hanging_xwms:flask_app('{xwms}', '{story}')"
        command = ["gunicorn", "-k", "gthread", "--threads", str(THREADS), "-b", f"127.0.0.1:{port}", app]
        command += ["--log-level", "critical", "--no-control-socket"]
    else:
        command = ["uvicorn", "--factory", "benchmarks.hanging_xwms:starlette_app", "--port", str(port)]
        command += ["--log-level", "critical"]
    environ = {**os.environ, "STORY": story, "XWMS_PORT": str(xwms)}
    root = Path(__file__).resolve().parent.parent
    silence = subprocess.DEVNULL
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=root, env=environ, stdout=silence, stderr=silence)
    for _ in range(600):
        with suppress(OSError):
            get(port, "/ping")
            return process
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"{server} does not start")


def pings(port: int, *, until: Callable[[], bool]) -> list[tuple[float, float]]:
    """When each ping began and how long it took, in seconds."""
    found: list[tuple[float, float]] = []
    while not until():
        began = time.monotonic()
        get(port, "/ping")
        found.append((began, time.monotonic() - began))
        time.sleep(0.01)
    return found


def figures(found: list[tuple[float, float]]) -> dict[str, float]:
    times = sorted(1000 * took for _, took in found)
    return {"slowest": times[-1], "p99": times[int(len(times) * 0.99) - 1], "median": times[len(times) // 2]}


def measure(server: str, story: str, seconds: float) -> dict[str, Any]:
    with silent_server() as xwms:
        port = free_port()
        process = serve(server, story, xwms.getsockname()[1], port)
        try:
            ends = time.monotonic() + 3
            baseline = pings(port, until=lambda: time.monotonic() > ends)
            path, headers, number = "/xwms/auth", BROWSER, STARTS
            if story == "tokens":
                path, headers, number = "/api", {"Authorization": "Bearer junk-junk-junk"}, TOKENS
            with ThreadPoolExecutor(number) as visitors:
                began = time.monotonic()
                calls = [visitors.submit(get, port, path, headers) for _ in range(number)]
                time.sleep(0.05)  # the pings come behind all of them
                found = pings(port, until=lambda: time.monotonic() > began + seconds)
            statuses = Counter(call.result() for call in calls)
            last = time.monotonic() - began
        finally:
            process.terminate()
            process.wait(30)
    after = [one for one in found if one[0] - began > 1.5] or found[-1:]
    return {
        "server": server,
        "story": story,
        "baseline": figures(baseline),
        "while it hangs": figures(found),
        "after 1.5 s": figures(after),
        "pings": len(found),
        "answers": dict(statuses),
        "seconds until all were answered": last,
    }


def handshakes(*, is_async: bool) -> list[float]:
    """When each of some calls was over whose TLS handshakes all hang, in seconds."""
    with silent_server() as xwms:
        settings = XWMSConfig(
            client_id="client",
            client_secret="secret-of-a-benchmark",
            redirect_uris="http://127.0.0.1/cb",
            api_url=f"https://127.0.0.1:{xwms.getsockname()[1]}/api/",
            timeout=2,
            **({"max_slow_calls": HANDSHAKES} if hasattr(XWMSConfig, "max_slow_calls") else {}),
        )
        began = time.monotonic()
        if is_async:

            async def story() -> list[float]:
                async def call(client: AsyncXWMSClient) -> float:
                    with suppress(XWMSError):
                        await client.info()
                    return time.monotonic() - began

                async with AsyncXWMSClient(settings) as client:
                    return await asyncio.gather(*(call(client) for _ in range(HANDSHAKES)))

            return sorted(asyncio.run(story()))

        def call(client: XWMSClient) -> float:
            with suppress(XWMSError):
                client.info()
            return time.monotonic() - began

        with ThreadPoolExecutor(HANDSHAKES) as threads, XWMSClient(settings) as client:
            return sorted(threads.map(call, [client] * HANDSHAKES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seconds", type=float, default=12, help="how long to ping in each story")
    options = parser.parse_args()
    servers = ("gunicorn", "uvicorn")
    rows = [measure(server, story, options.seconds) for story in ("starts", "tokens") for server in servers]
    hanging = {name: handshakes(is_async=name == "async") for name in ("plain", "async")}
    if options.json:
        print(json.dumps({"pings": rows, "handshakes": hanging}, indent=2))
        return
    print(f"{'story':8}{'server':10}{'':16}{'slowest':>10}{'p99':>10}{'median':>10}   answers")
    for row in rows:
        for name in ("baseline", "while it hangs", "after 1.5 s"):
            line = row[name]
            answers = row["answers"] if name == "while it hangs" else ""
            print(
                f"{row['story']:8}{row['server']:10}{name:16}"
                f"{line['slowest']:10.1f}{line['p99']:10.1f}{line['median']:10.1f}   {answers}"
            )
    for name, times in hanging.items():
        print(f"handshakes, {name}: {' '.join(f'{seconds:.1f}' for seconds in times)} s")


if __name__ == "__main__":
    main()
