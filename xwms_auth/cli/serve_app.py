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
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from xwms_auth._core.base.errors import ConfigError
from xwms_auth._core.config.env import MIN_SESSION_SECRET
from xwms_auth.cli.loading import AppNotFound, interface_of, load_app
from xwms_auth.cli.missing_extras import needs_extra
from xwms_auth.cli.terminal import print_log, warning

_HERE: Final = Path(__file__).parent

# How long requests and the app's own shutdown may continue after this process was told to end.
GRACE_SECONDS: Final = 2


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("each_process_by_itself ")  # there is one process


def main() -> None:
    """Serve until SIGTERM, or until standard input ends: the parent holds its other end, which closes with it."""
    target, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    threading.Thread(target=_exit_with_parent, args=(_take_standard_input(),), daemon=True).start()
    sys.path.insert(0, str(Path.cwd()))
    print_log("xwms_auth", "xwms_auth: %(message)s")  # developers see why a login was refused
    logging.getLogger("xwms_auth").addFilter(_is_news)
    sys.excepthook = _print_from_app_on
    try:
        app = load_app(target)
        interface = interface_of(app, target=target)
    except AppNotFound as error:
        sys.exit(f"Error: {error}")
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    if any(len(key) < MIN_SESSION_SECRET for key in _secret_keys(app)):
        warning(
            f"the app has a secret_key under {MIN_SESSION_SECRET} bytes: whoever guesses it can forge what it signs. "
            "Where XWMS_SESSION_SECRET is not set, Flask's is the session secret too, and such a key is "
            "refused at the start; make one with: xwms-auth secret"
        )
    if interface == "asgi":
        with needs_extra("cli"):
            from xwms_auth.cli.asgi_server import serve_asgi  # noqa: PLC0415  needs uvicorn
        serve_asgi(app, port=port, grace_seconds=GRACE_SECONDS)
    else:
        with needs_extra("flask"):
            from xwms_auth.cli.wsgi_server import serve_wsgi  # noqa: PLC0415  needs Werkzeug
        serve_wsgi(app, port=port)


def _secret_keys(app: Any) -> Iterator[bytes]:
    """The keys that sign the app's own cookies, as far as it shows them: Flask's, and of Starlette's middleware."""
    options = (getattr(added, "kwargs", getattr(added, "options", {})) for added in getattr(app, "user_middleware", ()))
    for key in (getattr(app, "secret_key", None), *(known.get("secret_key") for known in options)):
        if isinstance(key, str | bytes) and key:
            yield key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")


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
