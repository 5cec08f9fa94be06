"""The faults of the sandbox, as they strike an XWMS inside the process.

Nothing waits: where a response would come too late, or not at all, the call fails at once, with the error that the HTTP
transport would raise in the end.
"""

from collections.abc import Callable

from flask import Response

from .._core.base.errors import BadAnswer, Timeout, Unreachable
from .._core.io.in_process import LocalCall
from ..sandbox.faults.catalogue import Fault, Faults
from ..sandbox.faults.injection import Line, answer_instead, spoil
from .calls import Reply
from .clock import Clock


def struck(
    fault: Fault, endpoint: str, call: LocalCall, reply_to: Callable[[str, LocalCall], Reply], *, clock: Clock
) -> Reply:
    """The response to a call that a fault strikes. A response that is merely slow advances the clock."""
    if not fault.performed:
        return _reply_of(answer_instead(fault, endpoint))
    reply, where = reply_to(endpoint, call), f"{endpoint}: the fault {fault.name}"
    match fault.name:
        case "slow" if fault.delay < call.timeout:
            clock.advance(fault.delay)
            return reply
        case "slow" | "timeout" | "drip":
            raise Timeout(where, sent=True)
        case "truncated":
            raise Unreachable(where, sent=True)
        case "huge" | "gzip-bomb":
            raise BadAnswer(where, upstream_status=reply.status)
        case _:
            return _reply_of(
                spoil(fault, Response(reply.body, reply.status, list(reply.headers)), Line(faults=Faults()))
            )


def _reply_of(response: Response) -> Reply:
    return Reply(response.status_code, list(response.headers), response.get_data())
