"""The envelope around every answer of XWMS's: `status`, `message`, `data`.

Everything XWMS says is judged here before anybody else sees it.

Knows: what makes an answer a success, and how to take JSON apart strictly.
Must not: know what a call is for.
"""

from ..base.effects import UpstreamResponse, json_object
from ..base.errors import APIError, BadAnswer, Unreachable
from ..base.strict_json import JSONObject
from .error_responses import refusal


def success(reply: UpstreamResponse, *, refused: type[APIError]) -> JSONObject:
    """The envelope of a success. `refused` is what an error means that says no more than no."""
    outcome = _judge(reply, refused)
    if isinstance(outcome, APIError):
        raise outcome
    return outcome


def data_of(envelope: JSONObject) -> JSONObject:
    """The envelope's `data`, where it has to be an object."""
    data = envelope.get("data")
    if not isinstance(data, JSONObject):
        raise BadAnswer("the answer has no data object")
    return data


def member(parent: JSONObject, name: str) -> JSONObject:
    """An object inside an object; an empty one where there is none."""
    value = parent.get(name)
    return value if isinstance(value, JSONObject) else JSONObject()


def require_echo(data: JSONObject, name: str, expected: str) -> None:
    """Where XWMS repeats what it was asked, it must be what we asked: an answer to another's call is no answer."""
    if data.get(name) is not None and str(data[name]) != expected:
        raise BadAnswer(f"the answer is for another {name}")


def _judge(reply: UpstreamResponse, refused: type[APIError]) -> JSONObject | APIError:
    if reply.status in (429, 502, 503, 504):
        return Unreachable(f"XWMS answered {reply.status}", upstream_status=reply.status)
    if reply.status != 200 and not 400 <= reply.status < 500:
        return BadAnswer(f"XWMS answered {reply.status}", upstream_status=reply.status)
    envelope = json_object(reply)
    if isinstance(envelope, APIError):
        return envelope
    # Both must agree: a 200 that says error is an error, and a 400 that says success is nonsense.
    if envelope.get("status") == "error":
        return refusal(reply.status, envelope.get("message"), refused)
    if reply.status != 200 or envelope.get("status") != "success":
        return BadAnswer("HTTP status and envelope contradict each other", upstream_status=reply.status)
    return envelope
