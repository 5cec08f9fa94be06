"""The metadata of the provider: RFC 8414 and OpenID Connect Discovery in one document."""

from collections.abc import Mapping
from typing import Final

from xwms_auth.sandbox.domain import approvals, signing
from xwms_auth.sandbox.oauth.authlib_models import GRANT_TYPES, RESPONSE_TYPES
from xwms_auth.sandbox.oauth.server import AUTH_METHODS

AUTHORIZE: Final = "/oauth/authorize"
SIGN_IN: Final = "/oauth/sign-in"
TOKEN: Final = "/oauth/token"
REVOKE: Final = "/oauth/revoke"
INTROSPECT: Final = "/oauth/introspect"
USERINFO: Final = "/oauth/userinfo"
JWKS: Final = "/oauth/jwks"
LOGOUT: Final = "/oauth/logout"

PROMPTS: Final = ("none", "login", "consent", "select_account")
_SUPPORTED_CLAIMS: Final = (
    "sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "nonce", "at_hash", "sid",
    "name", "given_name", "family_name", "picture", "email", "email_verified",
)  # fmt: skip


def document(issuer: str, *, public_url: str) -> Mapping[str, object]:
    """The document, the same at both URLs; clients ignore fields that they do not know."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{public_url}{AUTHORIZE}",
        "token_endpoint": f"{public_url}{TOKEN}",
        "jwks_uri": f"{public_url}{JWKS}",
        "userinfo_endpoint": f"{public_url}{USERINFO}",
        "revocation_endpoint": f"{public_url}{REVOKE}",
        "introspection_endpoint": f"{public_url}{INTROSPECT}",
        "end_session_endpoint": f"{public_url}{LOGOUT}",
        "scopes_supported": [*approvals.OPENID_SCOPES, *approvals.SCOPES],
        "response_types_supported": list(RESPONSE_TYPES),
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "introspection_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [signing.ALGORITHM],
        "claims_supported": list(_SUPPORTED_CLAIMS),
        "prompt_values_supported": list(PROMPTS),
        "ui_locales_supported": ["en"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }
