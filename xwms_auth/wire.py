"""The XWMS API as data: build a call, read an answer.

Everything XWMS says is judged here before anybody else sees it. What its documentation leaves open is read so that it
works either way; what contradicts it is `BadAnswer`.

Knows: paths, bodies, the envelope, and which answer means which error.
Must not: send anything, and must not let XWMS's own words out except redacted, for the log.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from .effects import ApiCall, Reply
from .errors import (
    APIError,
    BadAnswer,
    ClientDisabled,
    CredentialsRejected,
    RedirectNotRegistered,
    TokenRejected,
    Unreachable,
)
from .models import User

MAX_BODY = 64 * 1024
"""Bytes of a decoded answer. The longest documented one is a few hundred."""

MIN_TOKEN, MAX_TOKEN = 8, 4096
"""Characters. Shorter could be guessed, longer is not a token in an address."""

_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=|:")
_MAX_WORDS = 30
# What a message of XWMS's may say in a log. Any other word could be a token, a secret or a person.
_WORDS = frozenset(
    """
    a active address allowed already an and api approved are at been by client code credential credentials
    disabled does domain error exist expired field for found had has header headers host id in inactive incorrect
    invalid ip is it linked list live login match method missing mode must no not of on or permission provided
    redirect registered request required restricted revoked scope secret server string test that the this to token
    too uri url used valid was with wrong x xwms you your
    """.split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTicket:
    """XWMS's answer to `sign-token`: where to send the browser, and the token it will or will not come back with.

    `expires_at` is in seconds since 1970, or None if XWMS gave no time that can be read.
    The answer's `email` is dropped: nobody has logged in yet.
    """

    token: str
    url: str
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """XWMS's answer to `info`. `time` is XWMS's clock as it wrote it; `endpoints` maps names to addresses."""

    name: str | None
    version: str | None
    time: str | None
    timezone: str | None
    documentation: str | None
    endpoints: Mapping[str, str]


def is_plausible_token(token: str) -> bool:
    """Whether XWMS could have issued this, by its characters and length alone."""
    return MIN_TOKEN <= len(token) <= MAX_TOKEN and _TOKEN.issuperset(token)


def info() -> ApiCall:
    """`GET info`: is XWMS there?"""
    return ApiCall("GET", "info", None, authenticated=False)


def sign_token(redirect_uri: str) -> ApiCall:
    """`POST sign-token`: begin a login that ends at this redirect URI."""
    return _post("sign-token", {"redirect_url": redirect_uri})


def verify_token(token: str, redirect_uri: str) -> ApiCall:
    """`POST sign-token-verify`: who logged in? Spends the token. XWMS's SDKs send the redirect URI here too."""
    return _post("sign-token-verify", {"token": token, "redirect_url": redirect_uri})


def _post(path: str, body: Mapping[str, str]) -> ApiCall:
    return ApiCall("POST", path, json.dumps(body).encode(), authenticated=True)


def read_info(reply: Reply) -> Info:
    """Read the answer to `info`."""
    said = _said(reply, refused=BadAnswer)
    application, api = _object(said.data, "application"), _object(said.data, "api")
    endpoints = {key: value for key, value in _object(api, "endpoints").items() if isinstance(value, str)}
    return Info(
        name=_string(application.get("name")),
        version=_string(application.get("version")),
        time=_string(application.get("time")),
        timezone=_string(application.get("timezone")),
        documentation=_string(api.get("documentation")),
        endpoints=endpoints,
    )


def read_ticket(reply: Reply, *, client_id: str) -> LoginTicket:
    """Read the answer to `sign-token`."""
    said = _said(reply, refused=BadAnswer)
    data = said.data
    _require_echo(data, "client_id", client_id)
    token = data.get("token")
    if not isinstance(token, str) or not is_plausible_token(token):
        raise BadAnswer("sign-token gave no usable token")
    # Documented at data.url; XWMS's SDKs accept the two other places.
    url = data.get("url") or data.get("redirect_url") or said.envelope.get("redirect_url")
    if not isinstance(url, str):
        raise BadAnswer("sign-token gave no url")
    return LoginTicket(token=token, url=url, expires_at=_moment(data.get("expires_at")))


def read_user(reply: Reply, *, token: str, client_id: str, issuer: str) -> User:
    """Read the answer to `sign-token-verify`."""
    data = _said(reply, refused=TokenRejected).data
    # Where XWMS repeats what it was asked, it must be what we asked: an answer to somebody else's call is no answer.
    _require_echo(data, "token", token)
    _require_echo(data, "client_id", client_id)
    person = _object(data, "user") or data
    try:
        return User.parse(person, issuer=issuer)
    except ValueError as fault:
        cause = f"sign-token-verify: {fault}"
    raise BadAnswer(cause)


class _Object(dict[str, Any]):
    """A JSON object of XWMS's. A crash report that prints local variables must not print what may quote our headers."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


@dataclass(frozen=True, slots=True)
class _Said:
    """A successful answer."""

    envelope: _Object
    data: _Object


def _require_echo(data: _Object, name: str, expected: str) -> None:
    if data.get(name) is not None and str(data[name]) != expected:
        raise BadAnswer(f"the answer is for another {name}")


def _said(reply: Reply, *, refused: type[APIError]) -> _Said:
    """What a successful answer said. `refused` is what an error means that says no more than no."""
    outcome = _judge(reply, refused)
    if isinstance(outcome, APIError):
        raise outcome
    return outcome


def _judge(reply: Reply, refused: type[APIError]) -> _Said | APIError:
    if reply.status in (429, 502, 503, 504):
        return Unreachable(f"XWMS answered {reply.status}", upstream_status=reply.status)
    if reply.status != 200 and not 400 <= reply.status < 500:
        return BadAnswer(f"XWMS answered {reply.status}", upstream_status=reply.status)
    envelope = _envelope(reply)
    if isinstance(envelope, APIError):
        return envelope
    # Both must agree: a 200 that says error is an error, and a 400 that says success is nonsense.
    if envelope.get("status") == "error":
        return _refusal(reply.status, envelope.get("message"), refused)
    if reply.status != 200 or envelope.get("status") != "success":
        return BadAnswer("HTTP status and envelope contradict each other", upstream_status=reply.status)
    data = envelope.get("data")
    if not isinstance(data, _Object):
        return BadAnswer("the answer has no data object")
    return _Said(envelope, data)


def _refusal(status: int, message: object, refused: type[APIError]) -> APIError:
    """Tell XWMS's refusals apart. Neither codes nor texts are documented, so both are only hints."""
    said = message.lower() if isinstance(message, str) else ""
    error = refused
    if "disabled" in said or "inactive" in said or "not active" in said:
        error = ClientDisabled
    elif "redirect" in said:
        error = RedirectNotRegistered
    elif any(word in said for word in ("credential", "client secret", "client id", "x-client", "domain")) or (
        refused is BadAnswer and status in (401, 403)
    ):
        error = CredentialsRejected
    return error(f"XWMS answered {status}: {redact(message)}", upstream_status=status)


def redact(message: object) -> str:
    """Make a message of XWMS's fit for a log: one line of words that cannot be a token, a secret or a person."""
    if not isinstance(message, str):
        return "no message"
    words = message[:1000].replace("-", " ").split()[:_MAX_WORDS]
    known = [word if word.strip(".,:;!?\"'()").lower() in _WORDS else "…" for word in words]
    return " ".join(known) or "no message"


def _envelope(reply: Reply) -> _Object | APIError:
    if reply.content_type.partition(";")[0].strip().lower() != "application/json":
        return BadAnswer("the answer is not application/json", upstream_status=reply.status)
    try:
        # Decoded here because json.loads would guess UTF-16 and UTF-32 from the bytes.
        parsed: object = json.loads(
            reply.body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, _Object):
        return BadAnswer("the answer is not a JSON object", upstream_status=reply.status)
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> _Object:
    # Python keeps the last of two equal keys, others the first: an answer read in two ways is refused.
    made = _Object(pairs)
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


def _object(parent: _Object, name: str) -> _Object:
    value = parent.get(name)
    return value if isinstance(value, _Object) else _Object()


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> int | None:
    """An ISO 8601 time in seconds since 1970; one without a zone is UTC. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
