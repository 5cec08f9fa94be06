"""What to say when an optional dependency is not there.

Knows: how an extra is installed.
Must not: import anything optional itself, or hide a fault inside this package.
"""

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def needs_extra(extra: str) -> Generator[None]:
    """Around imports: a package that is not installed ends the program with one line and exit status 1."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "xwms_auth":
            raise  # a fault of ours: no install command would mend it
        raise SystemExit(f"Error: {missing.name} is not installed: pip install 'xwms-auth[{extra}]'") from None
    except ImportError as told:
        # A part of this package that says by itself what to install. An import that breaks inside a package is named.
        if told.name is not None:
            raise
        raise SystemExit(f"Error: {told}") from None
