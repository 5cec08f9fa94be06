"""What a local XWMS is started with: one client, its redirect URIs, and how sign-in behaves.

Checks its own values and nothing else; opens no socket and reads no environment.
"""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from xwms_auth.sandbox.addresses import parse_http_url
from xwms_auth.sandbox.people import is_sub


def _fresh_secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The one client a local XWMS knows at its start. All faults are raised at once, as one ValueError.

    client_id, client_secret, domain: what the app must send; the secret is never part of the repr.
    redirect_uris: absolute http(s) URLs, matched byte for byte.
    callback_token: "same" sends the token of `sign-token` to the callback, "fresh" a new one.
    auto_login: a sub; whoever opens a sign-in page is then that person at once, without a click.
    token_lifetime: how long a token may be used, counted from `sign-token`.
    """

    client_id: str = "sandbox-client"
    client_secret: str = field(default_factory=_fresh_secret, repr=False)
    domain: str = "localhost"
    redirect_uris: tuple[str, ...]
    callback_token: Literal["same", "fresh"] = "same"
    auto_login: str | None = None
    token_lifetime: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be printable ASCII without spaces"
            for name, value in (
                ("client_id", self.client_id),
                ("client_secret", self.client_secret),
                ("domain", self.domain),
            )
            if not _fits_a_header(value)
        ]
        if not self.redirect_uris:
            faults.append("redirect_uris must hold at least one URL")
        for uri in self.redirect_uris:
            try:
                parse_http_url(uri)
            except ValueError as fault:
                faults.append(f"redirect_uris: {fault}")
        if self.callback_token not in {"same", "fresh"}:
            faults.append("callback_token must be 'same' or 'fresh'")
        if self.auto_login is not None and not is_sub(self.auto_login):
            faults.append("auto_login must be a sub: 1 to 255 printable characters")
        if self.token_lifetime <= timedelta(0):
            faults.append("token_lifetime must be longer than nothing")
        if faults:
            raise ValueError("; ".join(faults))


def _fits_a_header(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
