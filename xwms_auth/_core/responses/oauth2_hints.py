"""Hints for developers about an error of the OAuth 2.0 flow: what to change at the authorization server, or here."""

from ..base.errors import (
    BadAnswer,
    ClientDisabled,
    CredentialsRejected,
    InvalidToken,
    RequestRejected,
    Timeout,
    TokenRejected,
    Unreachable,
    XWMSError,
)
from ..config.config import XWMSConfig
from ..http.urls import RedirectURI
from .hint_text import code


def oauth2_hints(error: XWMSError, config: XWMSConfig, uri: RedirectURI | None) -> list[str]:
    """Return the hints that are specific to OAuth 2.0; none if those of sign-token apply."""
    registered = "the redirect URI" if uri is None else f"the redirect URI {code(uri.uri)}"
    server = f"The authorization server is {code(config.issuer)}, from XWMS_ISSUER."
    match error:
        case CredentialsRejected():
            return [
                f"{server} It rejects the client id {code(config.client_id)}, or the secret.",
                "Check that XWMS_CLIENT_ID and XWMS_CLIENT_SECRET belong to a client of this server, not swapped.",
                f"XWMS_CLIENT_AUTH is {code(config.client_auth)}: the client must be registered with the same method.",
            ]
        case ClientDisabled():
            return [
                f"{server} It does not allow the client {code(config.client_id)} to log users in: check that it is "
                "enabled there, and has the grant type `authorization_code`.",
            ]
        case RequestRejected():
            return [
                f"{server} It rejects the request as invalid.",
                f"XWMS_SCOPES requests {code(' '.join(config.scopes))}: the client must have each of them.",
                f"The client must have {registered}, byte for byte, and the response type `code`.",
            ]
        case Unreachable() | Timeout():
            return [
                f"{server} Check that this machine can reach its endpoints: network, DNS, firewall, certificates. "
                "Proxy settings in the environment are ignored.",
                f"A call may take {config.timeout_seconds:g} seconds, from XWMS_TIMEOUT.",
            ]
        case BadAnswer():
            return [
                f"{server} It must equal the issuer in the server's discovery document and ID tokens byte for byte, "
                "including a trailing slash or its absence.",
                "Without a discovery document, set the endpoints: XWMS_AUTHORIZATION_ENDPOINT, XWMS_TOKEN_ENDPOINT, "
                "and XWMS_JWKS_URI or XWMS_USERINFO_ENDPOINT.",
            ]
        case TokenRejected():
            return [
                "A code works once and for a short time: reloading the callback, or going back to it, ends here too.",
                f"If every login ends here, compare the clocks, check that {registered} is the one registered at the "
                "server, and see the cause below.",
            ]
        case InvalidToken():
            return [
                f"{server} XWMS_TOKEN_VALIDATION is {code(config.token_validation)}, and XWMS_AUDIENCE "
                f"{code(config.audience)}: see the cause below."
            ]
        case _:
            return []
