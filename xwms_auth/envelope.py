"""The envelope around every answer of XWMS's: `status`, `message`, `data`.

Everything XWMS says is judged here before anybody else sees it.

Knows: what makes an answer a success, and how to take JSON apart strictly.
Must not: know what a call is for.
"""

import json
import math
from collections.abc import Collection
from typing import Any, NoReturn

from .effects import Reply
from .errors import APIError, BadAnswer, Unreachable
from .refusals import refusal


class JSONObject(dict[str, Any]):
    """A JSON object of XWMS's. A crash report that prints local variables must not print what may quote our headers."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


def success(reply: Reply, *, refused: type[APIError]) -> JSONObject:
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


def _judge(reply: Reply, refused: type[APIError]) -> JSONObject | APIError:
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


def json_object(reply: Reply, *, media_types: Collection[str] = ("application/json",)) -> JSONObject | BadAnswer:
    """The JSON object that an answer consists of, or what is wrong with it; of an answer of any status."""
    if reply.content_type.partition(";")[0].strip().lower() not in media_types:
        return BadAnswer(f"the answer is not {' or '.join(media_types)}", upstream_status=reply.status)
    parsed = parse_json_object(reply.body)
    return BadAnswer("the answer is not a JSON object", upstream_status=reply.status) if parsed is None else parsed


def parse_json_object(text: bytes) -> JSONObject | None:
    """Read JSON strictly: UTF-8, an object, no key twice, no number that is none. None for anything else."""
    try:
        # Decoded here because json.loads would guess UTF-16 and UTF-32 from the bytes.
        parsed: object = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, JSONObject) else None


def _unique(pairs: list[tuple[str, Any]]) -> JSONObject:
    # Python keeps the last of two equal keys, others the first: an answer read in two ways is refused.
    made = JSONObject(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate keys")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number beyond what a float holds")
    return number
