"""A local XWMS: API, sign-in page and dashboard on this machine, without an account and without a network.

It follows the documented protocol so closely that going live changes settings only.
It is for development and tests: it has no passwords, and anybody who can reach it can sign in as anybody.
It imports nothing of the login package, so that the two interact over HTTP only.

Its parts are loaded when they are first used: a test may need no more than its people and faults.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xwms_auth.sandbox.app import create_app
    from xwms_auth.sandbox.faults.catalogue import parse_fault
    from xwms_auth.sandbox.server import SandboxServer
    from xwms_auth.sandbox.settings import SandboxSettings

__all__ = ["SandboxServer", "SandboxSettings", "create_app", "parse_fault"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_packages()
    from xwms_auth.sandbox import app, server, settings  # noqa: PLC0415  see above
    from xwms_auth.sandbox.faults import catalogue  # noqa: PLC0415

    return next(getattr(module, name) for module in (app, server, settings, catalogue) if hasattr(module, name))


def require_packages() -> None:
    """Raise ImportError, with the command that helps, if a package is missing that the local XWMS needs."""
    missing = [
        name for name in ("flask", "flask_wtf", "sqlalchemy", "countryinfo", "stdnum") if find_spec(name) is None
    ]
    if missing:
        raise ImportError(f"The local XWMS needs {', '.join(missing)}: pip install 'xwms-auth[sandbox]'")
