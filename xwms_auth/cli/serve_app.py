"""The process that serves the app: ``python -m xwms_auth.cli.serve_app module:app PORT``.

It ends when its parent does. The variables of XWMS are in the environment that it was started with.
"""

import importlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from xwms_auth._core.base.errors import ConfigError
from xwms_auth.cli.loading import AppNotFound, interface_of, load_app
from xwms_auth.cli.missing_extras import needs_extra

_HERE: Final = Path(__file__).parent

# How long requests and the app's own shutdown may continue after this process was told to end.
GRACE_SECONDS: Final = 2


def main() -> None:
    """Serve until SIGTERM, or until standard input ends: the parent holds its other end, which closes with it."""
    target, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    threading.Thread(target=_exit_with_parent, args=(_take_standard_input(),), daemon=True).start()
    sys.path.insert(0, str(Path.cwd()))
    _print_login_log()
    sys.excepthook = _print_from_app_on
    try:
        app = load_app(target)
        interface = interface_of(app, target=target)
    except AppNotFound as error:
        sys.exit(f"Error: {error}")
    except ConfigError as error:
        sys.exit(f"Error: the settings are wrong:{error}")
    if interface == "asgi":
        with needs_extra("cli"):
            from xwms_auth.cli.asgi_server import serve_asgi  # noqa: PLC0415  needs uvicorn
        serve_asgi(app, port=port, grace_seconds=GRACE_SECONDS)
    else:
        with needs_extra("flask"):
            from xwms_auth.cli.wsgi_server import serve_wsgi  # noqa: PLC0415  needs Werkzeug
        serve_wsgi(app, port=port)


def _print_login_log() -> None:
    """Print the log of logins, so that developers see why one was refused. No other logger is changed."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("xwms_auth: %(message)s"))
    log = logging.getLogger("xwms_auth")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _print_from_app_on(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception without the frames that lead to the app: those of this package and of the import system."""
    first = trace
    while first is not None and _is_loader(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    # Where none is left, as for a syntax error of the app's module, the error itself says where it is.
    traceback.print_exception(kind, error, first)


def _is_loader(file: str) -> bool:
    return file.startswith("<frozen ") or file == importlib.__file__ or Path(file).parent == _HERE


def _take_standard_input() -> int:
    """A private copy of descriptor 0; the app and its children get an empty standard input instead of the pipe."""
    pipe = os.dup(0)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.close(devnull)
    return pipe


def _exit_with_parent(pipe: int) -> None:
    while os.read(pipe, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS + 1)
    os._exit(1)  # an app that does not stop must not outlive the command that started it


if __name__ == "__main__":
    main()
