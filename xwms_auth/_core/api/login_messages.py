"""Requests and responses of the XWMS API for a login; `resource_messages.py` has the others.

Where XWMS's documentation leaves something open, every reading is accepted; what contradicts it is `BadAnswer`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..base.effects import ApiCall, UpstreamResponse
from ..base.errors import BadAnswer, TokenRejected
from ..base.model_guards import output_only
from ..base.models import User
from ..base.strict_json import parse_moment
from .envelope import data_of, member, require_echo, success

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


def info() -> ApiCall:
    """`GET info`: check that XWMS is reachable."""
    return ApiCall("GET", "info", None, authenticated=False)


def sign_token(redirect_uri: str) -> ApiCall:
    """`POST sign-token`: begin a login that ends at this redirect URI."""
    return _post("sign-token", {"redirect_url": redirect_uri})


def verify_token(token: str, redirect_uri: str) -> ApiCall:
    """`POST sign-token-verify`: redeem the token for the user. XWMS's SDKs send the redirect URI here too."""
    return _post("sign-token-verify", {"token": token, "redirect_url": redirect_uri})


def _post(path: str, body: Mapping[str, str]) -> ApiCall:
    return ApiCall("POST", path, json.dumps(body).encode(), authenticated=True)


def read_info(response: UpstreamResponse) -> ApiInfo:
    """Parse the response to `info`."""
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


def read_ticket(response: UpstreamResponse, *, client_id: str) -> LoginTicket:
    """Parse the response to `sign-token`."""
    envelope = success(response, refused=BadAnswer)
    data = data_of(envelope)
    require_echo(data, "client_id", client_id)
    token = data.get("token")
    if not isinstance(token, str) or not is_plausible_token(token):
        raise BadAnswer("sign-token returned no usable token")
    # Documented as data.url; XWMS's SDKs accept the two other places.
    url = data.get("url") or data.get("redirect_url") or envelope.get("redirect_url")
    if not isinstance(url, str):
        raise BadAnswer("sign-token returned no url")
    return LoginTicket(token=token, url=url, expires_at=_seconds(data.get("expires_at")))


def read_user(response: UpstreamResponse, *, token: str, client_id: str, issuer: str) -> User:
    """Parse the response to `sign-token-verify`."""
    data = data_of(success(response, refused=TokenRejected))
    require_echo(data, "token", token)
    require_echo(data, "client_id", client_id)
    person = member(data, "user") or data
    try:
        return User.parse(person, issuer=issuer)
    except ValueError as fault:
        cause = f"sign-token-verify: {fault}"
    raise BadAnswer(cause)


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: object) -> int | None:
    moment = parse_moment(value)
    return None if moment is None else int(moment.timestamp())
