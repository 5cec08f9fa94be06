"""Helpers to test an application, or a store of your own. The package itself never imports them.

`local_xwms()` is an XWMS inside the test's process, and with pytest the fixture `xwms` is one (`plugin.py`). They are
loaded when they are first used, because pytest imports the plugin in every run.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .calls import Call
    from .in_process import LocalXWMS, local_xwms
    from .login import LoginFailed

__all__ = ["Call", "LocalXWMS", "LoginFailed", "local_xwms"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import calls, in_process, login  # noqa: PLC0415  see above

    return next(getattr(module, name) for module in (calls, in_process, login) if hasattr(module, name))
