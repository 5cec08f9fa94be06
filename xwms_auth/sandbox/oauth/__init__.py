"""The local XWMS as an OAuth 2.0 authorization server and OpenID provider.

Authlib implements the protocol, on top of the sandbox's clients, people and grants. It is an extra of its own, because
it needs a newer cryptography than the rest of the sandbox.
"""

from collections.abc import Callable

from flask import Blueprint

from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.oauth import without_authlib
from xwms_auth.sandbox.oauth.backchannel import Deliveries

__all__ = ["Deliveries", "oauth_routes"]


def oauth_routes(
    *,
    database: Database,
    clock: Callable[[], float],
    issuer: str,
    public_url: str,
    auto_login: str | None,
    access_lifetime: float,
    deliveries: Deliveries,
) -> Blueprint:
    """The routes of a `Provider` with these fields; without Authlib, routes that name the extra to install."""
    if not without_authlib.is_installed():
        return without_authlib.blueprint()
    from xwms_auth.sandbox.oauth.provider import Provider  # noqa: PLC0415  an extra
    from xwms_auth.sandbox.oauth.routes import OAuth  # noqa: PLC0415  an extra

    return OAuth(
        Provider(
            database=database,
            clock=clock,
            issuer=issuer,
            public_url=public_url,
            auto_login=auto_login,
            access_lifetime=access_lifetime,
            deliveries=deliveries,
        )
    ).blueprint()
