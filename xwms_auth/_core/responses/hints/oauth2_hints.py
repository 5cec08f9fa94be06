"""Hints for developers about an error of the OAuth 2.0 flow: what to change at the authorization server, or here."""

from ...base.bearer_errors import InvalidToken
from ...base.errors import (
    BadAnswer,
    ClientDisabled,
    CredentialsRejected,
    MethodNotAllowed,
    RequestRejected,
    Timeout,
    TokenRejected,
    Unreachable,
    XWMSError,
)
from ...config.config import XWMSConfig
from ...http.urls import RedirectURI
from .hint_text import code

_CLOCKS = "Compare the clocks of this machine and of the server: they may differ by 60 seconds."
_SIGNING = (
    "id_token_signed_response_alg of the client at the server must be an asymmetric one, such as RS256 or ES256: the "
    "client secret is no signing key here."
)
_KEYS = (
    "The key that signed is not at the server's jwks_uri. After a rotation the server must publish the new key before "
    "it signs with it; a jwks_uri of another tenant or realm has other keys."
)
_AUDIENCE = "The token is for another client: XWMS_CLIENT_ID must be the client that the server issues it to."
_ISSUER = (
    "XWMS_ISSUER must equal the issuer in the server's discovery document and tokens byte for byte, including a "
    "trailing slash or its absence."
)
_ENDPOINTS = (
    "Without a discovery document, set the endpoints: XWMS_AUTHORIZATION_ENDPOINT, XWMS_TOKEN_ENDPOINT, and "
    "XWMS_JWKS_URI or XWMS_USERINFO_ENDPOINT."
)
_AUTH_TIME = (
    "The page asks for a recent login, and the ID token has to say when the user authenticated: switch "
    "require_auth_time on for the client at the server."
)
_NONCE = "The server must put the nonce of the authorization request into the ID token; or the callback was replayed."
_FORM_POST = (
    "If the authorization server posts to the redirect URI, it uses the response mode form_post, which is not "
    "supported: set the response mode query for the client."
)
_PAR = (
    "If the server demands pushed authorization requests (PAR) of this client, switch "
    "require_pushed_authorization_requests off there: they are not supported."
)

# A phrase of our own causes, and what to do about it; the first that is found counts.
_FAULTS = (
    ("its aud is not this client", _AUDIENCE),
    ("azp", _AUDIENCE),
    ("its alg is", _SIGNING),
    ("the server's keys", _KEYS),
    ("auth_time is missing", _AUTH_TIME),
    ("auth_time is too old", f"{_CLOCKS} {_AUTH_TIME}"),
    ("nonce", _NONCE),
    ("it has expired", _CLOCKS),
    ("in the future", _CLOCKS),
    ("not valid yet", _CLOCKS),
    ("not the configured issuer", _ISSUER),
    ("of another issuer", _ISSUER),
    ("has no iss", "The server promises iss in each callback (RFC 9207) and sends none: mend its metadata."),
    ("at_hash", "The server's at_hash is not that of the access token it sent: this is a fault of the server."),
    ("no ID token", "Allow the scope `openid` for the client at the server, or take it out of XWMS_SCOPES."),
    ("sub of userinfo", "The server must give one user the same sub in the ID token and at userinfo (subject_type)."),
    ("no discovery document", f"{_ISSUER} {_ENDPOINTS}"),
    (
        "userinfo",
        "XWMS_USERINFO_ENDPOINT, or userinfo_endpoint of the discovery document, must be that endpoint.",
    ),
    ("jwks_uri", "XWMS_JWKS_URI, or jwks_uri of the discovery document, must be the URL of the server's public keys."),
)


def oauth2_hints(error: XWMSError, config: XWMSConfig, uri: RedirectURI | None, *, path: str) -> list[str]:
    """Return the hints that are specific to OAuth 2.0; none if those of sign-token apply. `path` is the request's."""
    registered = "the redirect URI" if uri is None else f"the redirect URI {code(uri.uri)}"
    server = f"The authorization server is {code(config.issuer)}, from XWMS_ISSUER."
    fault = next((hint for phrase, hint in _FAULTS if phrase in error.cause), None)
    match error:
        case TokenRejected() | BadAnswer() if fault is not None:
            return [f"{server} {fault}"]
        case MethodNotAllowed() if uri is not None and path == uri.path:
            return [_FORM_POST]
        case CredentialsRejected():
            return [
                f"{server} It rejects the client id {code(config.client_id)}, or the secret.",
                "Check that XWMS_CLIENT_ID and XWMS_CLIENT_SECRET belong to a client of this server, not swapped.",
                f"XWMS_CLIENT_AUTH is {code(config.client_auth)}: the client must be registered with the same method, "
                "and not with private_key_jwt or a certificate, which are not supported.",
                "Characters other than letters and digits are form-encoded in the header (RFC 6749 2.3.1): "
                "a server that does not decode it takes `client_secret_post`.",
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
                _PAR,
            ]
        case Unreachable() | Timeout():
            return [
                f"{server} Check that this machine can reach its endpoints: network, DNS, firewall, certificates. "
                "Proxy settings in the environment are ignored.",
                f"A call may take {config.timeout_seconds:g} seconds, from XWMS_TIMEOUT.",
            ]
        case BadAnswer():
            return [f"{server} Its answer is not as the standards describe: see the cause below.", _ISSUER]
        case TokenRejected():
            return [
                "A code works once and for a short time: reloading the callback, or going back to it, ends here too.",
                f"If every login ends here, check that {registered} is the one registered at the server, and see the "
                "cause below.",
            ]
        case InvalidToken():
            return [
                f"{server} XWMS_TOKEN_VALIDATION is {code(config.token_validation)}, and XWMS_AUDIENCE "
                f"{code(config.audience)}: see the cause below."
            ]
        case _:
            return []
