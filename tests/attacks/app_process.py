"""An operating-system process that serves applications: each line of its input asks for one more.

A line is JSON: `{"edge": "flask" or "asgi", "name": …, "options": {…}}`, where the options are those of `XWMSConfig`.
The answer is the port on which that application of tests/tools/site.py is served, to requests whose `X-Application` is
its name: one server for each edge is enough, and an idle one is not for nothing. The process ends with its input.

Knows: how to serve.
Must not: share anything with another process but what the options name.
"""

import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.attacks.real_servers import listening
from tests.tools.site import asgi_app, flask_app
from xwms_auth import XWMSConfig

APPS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Served:
    """As much of a `Site` as a server needs."""

    edge: str
    app: Any


def by_wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return APPS[environ["HTTP_X_APPLICATION"]](environ, start_response)


async def by_asgi(scope: Any, receive: Any, send: Any) -> None:
    await APPS[dict(scope["headers"])[b"x-application"].decode()](scope, receive, send)


def main() -> None:
    makers = {"flask": flask_app, "asgi": asgi_app}
    with ExitStack() as stack:
        lines = {
            "flask": stack.enter_context(listening(Served("flask", by_wsgi))),
            "asgi": stack.enter_context(listening(Served("asgi", by_asgi))),
        }
        for line in sys.stdin:
            asked = json.loads(line)
            APPS[asked["name"]] = makers[asked["edge"]](XWMSConfig(**asked["options"]), time.time)
            sys.stdout.write(f"{lines[asked['edge']].address[1]}\n")
            sys.stdout.flush()
        # Nobody waits for a process whose input has ended to say goodbye to its clients.
        os._exit(0)


if __name__ == "__main__":
    main()
