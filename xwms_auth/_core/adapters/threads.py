"""Threads in which an ASGI application's sync functions run, so that none of them blocks the event loop."""

from collections.abc import Callable
from typing import Any

import anyio.to_thread

from ...stores.thread_limit import ThreadLimit

MAX_THREADS = 16
"""Threads for the sync functions of one event loop. Most of them wait for a database, whose pool has about as many."""

_threads = ThreadLimit("xwms_auth_application", MAX_THREADS)


async def run_in_thread(function: Callable[..., Any], args: tuple[object, ...]) -> Any:
    """Call a sync function in a thread."""
    return await anyio.to_thread.run_sync(lambda: function(*args), limiter=_threads.limiter())
