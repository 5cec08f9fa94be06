"""The settings of a local XWMS: one client, its redirect URIs, the behaviour of the sign-in page, and the database.

They are validated when created. This module opens no socket and reads no environment variables.
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


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The client that a local XWMS has at its start; the dashboard can create more.

    All problems are raised at once, as one ValueError.

    client_id, client_secret, domain: what the app must send; the secret is never part of the repr.
    redirect_uris: absolute http(s) URLs, compared byte for byte.
    callback_token: "same" sends the token of `sign-token` to the callback, "fresh" a new one.
    auto_login: a sub; opening a sign-in page signs in as that person at once, without a click.
    token_lifetime: how long a token is valid, counted from `sign-token`.
    access_token_lifetime: how long an OAuth access token is valid; at least a second.
    scopes: scopes that the client may request besides the login: "userinfo", "useraddresses".
    database: a file that keeps everything; with None it is lost at the end. A client that is already in the file keeps
        its settings; those given here are added, and `client_secret` replaces the one of the last start.
    seed: add a demo account with members, clients and users, once.
    issuer: the issuer in discovery, tokens and callbacks; None: its own URL. With another one, clients must be told
        where the discovery document is.
    faults: faults that are active from the start, in the syntax of `parse_fault`: "500:sign-token", "slow=10".
    """

    client_id: str = "sandbox-client"
    client_secret: str = field(default_factory=_new_secret, repr=False)
    domain: str = "localhost"
    redirect_uris: tuple[str, ...]
    callback_token: Literal["same", "fresh"] = "same"
    auto_login: str | None = None
    token_lifetime: timedelta = timedelta(minutes=10)
    access_token_lifetime: timedelta = timedelta(minutes=5)
    scopes: tuple[str, ...] = ()
    database: Path | None = None
    seed: bool = False
    issuer: str | None = None
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
        named = [("redirect_uris", uri) for uri in self.redirect_uris]
        for name, url in named if self.issuer is None else (*named, ("issuer", self.issuer)):
            try:
                parse_http_url(url)
            except ValueError as fault:
                faults.append(f"{name}: {fault}")
        if self.callback_token not in {"same", "fresh"}:
            faults.append("callback_token must be 'same' or 'fresh'")
        if self.auto_login is not None and not is_sub(self.auto_login):
            faults.append("auto_login must be a sub: 1 to 255 printable characters")
        if unknown := sorted(set(self.scopes) - set(SCOPES)):
            faults.append(f"scopes must be among {', '.join(SCOPES)}, not {', '.join(unknown)}")
        for text in self.faults:
            try:
                parse_fault(text)
            except ValueError as reason:
                faults.append(f"faults: {reason}")
        if self.token_lifetime <= timedelta(0):
            faults.append("token_lifetime must be greater than zero")
        if self.access_token_lifetime < timedelta(seconds=1):
            faults.append("access_token_lifetime must be at least a second")
        if faults:
            raise ValueError("; ".join(faults))


def _fits_a_header(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
