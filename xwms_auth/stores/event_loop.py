"""Which event loop runs this code: connections of asyncio belong to one, and trio has none of asyncio's."""

import asyncio
import os


def is_trio() -> bool:
    """Whether async code runs on something else than asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def current_loop() -> object:
    """The running event loop, and the process it belongs to."""
    return os.getpid(), asyncio.get_running_loop()
