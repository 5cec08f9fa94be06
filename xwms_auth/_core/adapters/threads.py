"""Threads in which an ASGI application's sync functions run, so that none of them blocks the event loop."""

from collections.abc import Callable
from typing import Any

import anyio.to_thread

from ...stores.thread_limit import ThreadLimit

MAX_THREADS = 16
"""Threads for the sync functions of one event loop. Most of them wait for a database, whose pool has about as many."""

MAX_TELLING_THREADS = 4
"""Threads for the hooks that only hear of something, strangers' refusals among it: apart from those of logins."""

_threads = ThreadLimit("xwms_auth_application", MAX_THREADS)
_telling = ThreadLimit("xwms_auth_hooks", MAX_TELLING_THREADS)


async def run_in_thread(function: Callable[..., Any], args: tuple[object, ...], *, tells: bool = False) -> Any:
    """Call a sync function in a thread."""
    limiter = (_telling if tells else _threads).limiter()
    return await anyio.to_thread.run_sync(lambda: function(*args), limiter=limiter)
