"""What a local XWMS is started with: one client, its redirect URIs, how sign-in behaves, and where it remembers.

Checks its own values and nothing else; opens no socket and reads no environment.
"""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from xwms_auth.sandbox.domain.approvals import SCOPES
from xwms_auth.sandbox.domain.people import is_sub
from xwms_auth.sandbox.domain.urls import parse_http_url
from xwms_auth.sandbox.faults.catalogue import parse_fault


def _fresh_secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The one client that every local XWMS knows at its start; the dashboard makes more.

    All faults are raised at once, as one ValueError.

    client_id, client_secret, domain: what the app must send; the secret is never part of the repr.
    redirect_uris: absolute http(s) URLs, matched byte for byte.
    callback_token: "same" sends the token of `sign-token` to the callback, "fresh" a new one.
    auto_login: a sub; whoever opens a sign-in page is then that person at once, without a click.
    token_lifetime: how long a token may be used, counted from `sign-token`.
    access_token_lifetime: how long an access token of OAuth may be used; at least a second.
    scopes: what the client may ask people for, besides the login: "userinfo", "useraddresses".
    database: a file that keeps everything; None forgets it at the end. A client that is known to the file keeps
        what it has; what is given here is added, and `client_secret` replaces the one of the last start.
    seed: add a demo account with members, clients and users, once.
    faults: what goes wrong from the start, as `parse_fault` reads it: "500:sign-token", "slow=10".
    """

    client_id: str = "sandbox-client"
    client_secret: str = field(default_factory=_fresh_secret, repr=False)
    domain: str = "localhost"
    redirect_uris: tuple[str, ...]
    callback_token: Literal["same", "fresh"] = "same"
    auto_login: str | None = None
    token_lifetime: timedelta = timedelta(minutes=10)
    access_token_lifetime: timedelta = timedelta(minutes=5)
    scopes: tuple[str, ...] = ()
    database: Path | None = None
    seed: bool = False
    faults: tuple[str, ...] = ()

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
        if unknown := sorted(set(self.scopes) - set(SCOPES)):
            faults.append(f"scopes must be of {', '.join(SCOPES)}, unlike {', '.join(unknown)}")
        for text in self.faults:
            try:
                parse_fault(text)
            except ValueError as reason:
                faults.append(f"faults: {reason}")
        if self.token_lifetime <= timedelta(0):
            faults.append("token_lifetime must be longer than nothing")
        if self.access_token_lifetime < timedelta(seconds=1):
            faults.append("access_token_lifetime must be a second or longer")
        if faults:
            raise ValueError("; ".join(faults))


def _fits_a_header(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
