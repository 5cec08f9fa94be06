"""The process that serves the app: ``python -m xwms_auth.cli.app_process module:app PORT``.

Knows: that it must end when its parent does, and which server speaks the app's language.
Must not: know XWMS, or read or set its variables: they are in the environment this process was started with.
"""

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final

from xwms_auth._core.base.errors import ConfigError
from xwms_auth.cli.extras import needs_extra
from xwms_auth.cli.loading import AppNotFound, interface_of, load_app

# How long requests and the app's own shutdown may go on once this process has been told to end.
GRACE_SECONDS: Final = 2


def main() -> None:
    """Serve until SIGTERM, or until standard input ends: its other end is held by the parent and closes with it."""
    target, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    threading.Thread(target=_end_with, args=(_take_standard_input(),), daemon=True).start()
    sys.path.insert(0, str(Path.cwd()))
    _show_what_is_refused()
    try:
        app = load_app(target)
        interface = interface_of(app, target=target)
    except AppNotFound as fault:
        sys.exit(f"Error: {fault}")
    except ConfigError as fault:
        sys.exit(f"Error: the settings are wrong:{fault}")
    if interface == "asgi":
        with needs_extra("cli"):
            from xwms_auth.cli.asgi_server import serve_asgi  # noqa: PLC0415  an app needs only its own server
        serve_asgi(app, port=port, grace_seconds=GRACE_SECONDS)
    else:
        with needs_extra("flask"):
            from xwms_auth.cli.wsgi_server import serve_wsgi  # noqa: PLC0415  an app needs only its own server
        serve_wsgi(app, port=port)


def _show_what_is_refused() -> None:
    """Print the log of logins: why one was refused is what a developer wants to know. No other log is touched."""
    shown = logging.StreamHandler()
    shown.setFormatter(logging.Formatter("xwms_auth: %(message)s"))
    log = logging.getLogger("xwms_auth")
    log.addHandler(shown)
    log.setLevel(logging.INFO)
    log.propagate = False


def _take_standard_input() -> int:
    """A private copy of descriptor 0; the app and its children see an empty input instead of the lifeline."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return lifeline


def _end_with(lifeline: int) -> None:
    while os.read(lifeline, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS + 1)
    os._exit(1)  # an app that will not end must not outlive the command that started it


if __name__ == "__main__":
    main()
