"""What is done once one of our routes has been answered, so that nobody waits for it: revoking tokens (RFC 7009).

A failure is logged and changes nothing: the answer is on its way.
"""

from collections.abc import Iterable, Iterator

from ..base import events
from ..base.effects import Runtime, Steps, arun, run
from ..base.unexpected import internal_error
from ..http.messages import Response
from .served_app import ServedApp


def follow(
    served: ServedApp, body: Iterable[bytes], path: str, response: Response, runtime: Runtime
) -> Iterable[bytes]:
    """Return the body of a WSGI response, after which the rest is done. The server knows its length."""
    steps = _steps_after(served, path, response)
    return body if steps is None else _followed(body, steps, runtime)


def _followed(body: Iterable[bytes], steps: Steps[None], runtime: Runtime) -> Iterator[bytes]:
    try:
        yield from body
    finally:
        try:
            run(steps, runtime)
        except Exception as error:  # noqa: BLE001  see above
            _log(error)


async def afollow(served: ServedApp, path: str, response: Response, runtime: Runtime) -> None:
    """Do the rest after an ASGI response."""
    steps = _steps_after(served, path, response)
    if steps is not None:
        try:
            await arun(steps, runtime)
        except Exception as error:  # noqa: BLE001  see above
            _log(error)


def _steps_after(served: ServedApp, path: str, response: Response) -> Steps[None] | None:
    """What to do after this answer; mostly nothing."""
    tokens = served.provider.tokens
    if tokens is None or not served.context.state.pending_revocations:
        return None
    if path == served.context.config.login_path and not response.logged_in:
        # A login has just begun. Some servers end everything of the browser with a token, the code of this login too.
        return None
    return tokens.revoke_pending(served.context, now=served.now())


def _log(error: Exception) -> None:
    events.warning("token_not_revoked", cause=internal_error(error).cause)
