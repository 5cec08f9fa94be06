"""The XWMS API as data: build a call, read an answer. Here the calls of a login; the others are in `resource_wire.py`.

What XWMS's documentation leaves open is read so that it works either way; what contradicts it is `BadAnswer`.

Knows: paths, bodies, and what the `data` of each answer holds.
Must not: send anything.
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

MIN_TOKEN, MAX_TOKEN = 8, 4096
"""Characters. Shorter could be guessed, longer is not a token in an address."""

_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=|:")


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTicket:
    """XWMS's answer to `sign-token`: where to send the browser, and the token it will or will not come back with.

    `expires_at` is in seconds since 1970, or None if XWMS gave no time that can be read.
    The answer's `email` is dropped: nobody has logged in yet.
    """

    token: str
    url: str
    expires_at: int | None


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiInfo:
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


def read_info(reply: UpstreamResponse) -> ApiInfo:
    """Read the answer to `info`."""
    data = data_of(success(reply, refused=BadAnswer))
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


def read_ticket(reply: UpstreamResponse, *, client_id: str) -> LoginTicket:
    """Read the answer to `sign-token`."""
    envelope = success(reply, refused=BadAnswer)
    data = data_of(envelope)
    require_echo(data, "client_id", client_id)
    token = data.get("token")
    if not isinstance(token, str) or not is_plausible_token(token):
        raise BadAnswer("sign-token gave no usable token")
    # Documented at data.url; XWMS's SDKs accept the two other places.
    url = data.get("url") or data.get("redirect_url") or envelope.get("redirect_url")
    if not isinstance(url, str):
        raise BadAnswer("sign-token gave no url")
    return LoginTicket(token=token, url=url, expires_at=_seconds(data.get("expires_at")))


def read_user(reply: UpstreamResponse, *, token: str, client_id: str, issuer: str) -> User:
    """Read the answer to `sign-token-verify`."""
    data = data_of(success(reply, refused=TokenRejected))
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
