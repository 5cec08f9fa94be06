"""The envelope of every XWMS response: `status`, `message`, `data`. Every response is validated here first."""

from ..base.effects import UpstreamResponse, json_object
from ..base.errors import APIError, BadAnswer, Unreachable
from ..base.strict_json import JSONObject
from .error_responses import refusal


def success(response: UpstreamResponse, *, refused: type[APIError]) -> JSONObject:
    """Return the envelope of a successful response, or raise. `refused` is the error class for a plain refusal."""
    outcome = _parse(response, refused)
    if isinstance(outcome, APIError):
        raise outcome
    return outcome


def data_of(envelope: JSONObject) -> JSONObject:
    """Return the envelope's `data`. Raises `BadAnswer` if it is not an object."""
    data = envelope.get("data")
    if not isinstance(data, JSONObject):
        raise BadAnswer("the response has no data object")
    return data


def member(parent: JSONObject, name: str) -> JSONObject:
    """Return the object under this name, or an empty object."""
    value = parent.get(name)
    return value if isinstance(value, JSONObject) else JSONObject()


def require_echo(data: JSONObject, name: str, expected: str) -> None:
    """Raise `BadAnswer` if XWMS echoes another value than the request had: the response belongs to another request."""
    if data.get(name) is not None and str(data[name]) != expected:
        raise BadAnswer(f"the response is for another {name}")


def _parse(response: UpstreamResponse, refused: type[APIError]) -> JSONObject | APIError:
    if response.status in (429, 502, 503, 504):
        return Unreachable(f"XWMS answered {response.status}", upstream_status=response.status)
    if response.status != 200 and not 400 <= response.status < 500:
        return BadAnswer(f"XWMS answered {response.status}", upstream_status=response.status)
    envelope = json_object(response)
    if isinstance(envelope, APIError):
        return envelope
    # Both must agree: a 200 with status "error" is an error, and a 400 with status "success" is invalid.
    if envelope.get("status") == "error":
        return refusal(response.status, envelope.get("message"), refused)
    if response.status != 200 or envelope.get("status") != "success":
        return BadAnswer("HTTP status and envelope contradict each other", upstream_status=response.status)
    return envelope
