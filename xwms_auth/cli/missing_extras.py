"""The error message for a missing optional dependency. An import error of this package itself is not hidden."""

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def needs_extra(extra: str) -> Generator[None]:
    """Wraps imports: for a package that is not installed, exit with a one-line message and status 1."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "xwms_auth":
            raise  # a bug in this package, which no install command would fix
        raise SystemExit(f"Error: {missing.name} is not installed: pip install 'xwms-auth[{extra}]'") from None
    except ImportError as error:
        # Raised by a part of this package, with a message that says what to install. Python's own have a name.
        if error.name is not None:
            raise
        raise SystemExit(f"Error: {error}") from None
