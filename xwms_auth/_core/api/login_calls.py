"""The calls of the XWMS API for a login, as steps: send the request, parse the response. The others: `resource_calls`.

The functions at the end validate the envelope that every response of XWMS has: `status`, `message`, `data`.

Where XWMS's documentation leaves something open, every reading is accepted; what contradicts it is `BadAnswer`.
"""

import json
from collections.abc import Mapping
from functools import partial

from ..base.dataclass import dataclass
from ..base.effects import ApiCall, CallXWMS, Steps, UpstreamResponse, ask, json_object, unavailable
from ..base.errors import APIError, BadAnswer, TokenRejected
from ..base.models import User
from ..base.output_only import output_only
from ..base.strict_json import JSONObject, parse_moment
from ..config.config import XWMSConfig
from ..config.credentials import send_as_client
from ..http.urls import login_url_fault
from .error_responses import refusal

MIN_SIGN_TOKEN, MAX_SIGN_TOKEN = 8, 4096
"""Characters of a sign token. A shorter one could be guessed, a longer one does not fit into a URL."""

_SIGN_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=|:")


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTicket:
    """The response to `sign-token`: where to send the browser, and the token that it may return with.

    `expires_at` is in seconds since 1970, or None if XWMS gave no readable time.
    The response's `email` is dropped: nobody has logged in yet.
    """

    token: str
    url: str
    expires_at: int | None


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiInfo:
    """The response to `info`. `time` is XWMS's clock, as XWMS formatted it; `endpoints` maps names to URLs."""

    name: str | None
    version: str | None
    time: str | None
    timezone: str | None
    documentation: str | None
    endpoints: Mapping[str, str]


def is_plausible_token(token: str) -> bool:
    """Whether XWMS could have issued this token, by its characters and length alone."""
    return MIN_SIGN_TOKEN <= len(token) <= MAX_SIGN_TOKEN and _SIGN_TOKEN.issuperset(token)


def info() -> Steps[ApiInfo]:
    """`GET info`: check that the XWMS API is reachable."""
    response = yield from ask(CallXWMS(ApiCall("GET", "info")))
    data = data_of(success(response, refused=BadAnswer))
    application, api = member(data, "application"), member(data, "api")
    endpoints = {key: value for key, value in member(api, "endpoints").items() if isinstance(value, str)}
    return ApiInfo(
        name=_string(application.get("name")),
        version=_string(application.get("version")),
        time=_string(application.get("time")),
        timezone=_string(application.get("timezone")),
        documentation=_string(api.get("documentation")),
        endpoints=endpoints,
    )


def sign_token(config: XWMSConfig, redirect_uri: str) -> Steps[LoginTicket]:
    """`POST sign-token`: begin a login that ends at this redirect URI."""
    call = _call("sign-token", {"redirect_url": redirect_uri})
    envelope = yield from send_as_client(config, call, partial(success, refused=BadAnswer))
    data = data_of(envelope)
    require_echo(data, "client_id", config.client_id)
    token = data.get("token")
    if not isinstance(token, str) or not is_plausible_token(token):
        raise BadAnswer("sign-token returned no usable token")
    # Documented as data.url; XWMS's SDKs accept the two other places.
    url = data.get("url") or data.get("redirect_url") or envelope.get("redirect_url")
    if not isinstance(url, str):
        raise BadAnswer("sign-token returned no url")
    if fault := login_url_fault(url, origins=config.login_origins, api=config.api):
        # Open redirect
        raise BadAnswer(f"sign-token returned a URL that is not XWMS's login page: {fault}")
    return LoginTicket(token=token, url=url, expires_at=_seconds(data.get("expires_at")))


def verify_token(config: XWMSConfig, token: str, redirect_uri: str) -> Steps[User]:
    """`POST sign-token-verify`: redeem a single-use token for the user who logged in."""
    # XWMS's SDKs send the redirect URI here too.
    call = _call("sign-token-verify", {"token": token, "redirect_url": redirect_uri})
    data = data_of((yield from send_as_client(config, call, partial(success, refused=TokenRejected))))
    require_echo(data, "token", token)
    require_echo(data, "client_id", config.client_id)
    try:
        return User.parse(member(data, "user") or data, issuer=config.issuer)
    except ValueError as fault:
        cause = f"sign-token-verify: {fault}"
    # Raised outside the handler, so that the traceback holds no frame with response data.
    raise BadAnswer(cause)


def _call(path: str, body: Mapping[str, str]) -> ApiCall:
    return ApiCall("POST", path, json.dumps(body).encode())


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: object) -> int | None:
    moment = parse_moment(value)
    return None if moment is None else int(moment.timestamp())


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
        return unavailable(response, "XWMS")
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
