"""Requests and responses of OAuth 2.0 and OpenID Connect: URLs and calls of a login, and parsing of the responses.

Authlib builds the requests (RFC 6749 4.1.1 and 4.1.3, RFC 7636 4.2). Its HTTP clients are not used: they follow
redirects, with the client secret, and log the PKCE verifier. No error quotes text of the server other than known codes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

try:
    from authlib.common.urls import (
        add_params_to_uri,  # pyright: ignore[reportUnknownVariableType]  partially unknown in the stubs
    )
    from authlib.oauth2.rfc6749.parameters import (
        prepare_grant_uri,  # pyright: ignore[reportUnknownVariableType]  partially unknown in the stubs
        prepare_token_request,
    )
    from authlib.oauth2.rfc7009.parameters import (
        prepare_revoke_token_request,  # pyright: ignore[reportUnknownVariableType]  untyped in the stubs
    )
    from authlib.oauth2.rfc7636 import (
        create_s256_code_challenge,  # pyright: ignore[reportUnknownVariableType]  untyped in the stubs
    )
except ImportError as missing:  # pragma: no cover
    raise ImportError("flow=oauth2 needs Authlib: pip install 'xwms-auth[oauth2]'") from missing

from ..base import events
from ..base.crypto.digests import derived
from ..base.effects import OAuthCall, UpstreamResponse, json_object, unavailable
from ..base.errors import (
    APIError,
    BadAnswer,
    ClientDisabled,
    CredentialsRejected,
    NotApproved,
    RedirectNotRegistered,
    RequestRejected,
    TokenMissing,
    TokenRejected,
    Unreachable,
    XWMSError,
)
from ..base.models import Secret, TokenSet, User
from ..base.strict_json import JSONObject, parse_granted
from ..config.config import XWMSConfig
from ..config.server.metadata import Metadata
from ..http.login_params import LoginParams

_grant_uri = cast("Callable[..., str]", prepare_grant_uri)
_revoke_request = cast("Callable[..., tuple[str, object]]", prepare_revoke_token_request)
_with_query = cast("Callable[[str, list[tuple[str, str]]], str]", add_params_to_uri)
_s256 = cast("Callable[[str], str]", create_s256_code_challenge)

MAX_LOGOUT_URL = 2300
"""Characters of the address of the server's logout: what is left beside the other headers of a logout here."""

MAX_OAUTH_TOKEN = 16 * 1024
"""Characters of an access, refresh or ID token; a longer one is refused."""

MAX_EXPIRES_IN = 400 * 86400
"""Seconds. A longer lifetime is treated like an unknown one."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")

_ERRORS: Mapping[str, type[APIError]] = {
    "invalid_client": CredentialsRejected,
    "unauthorized_client": ClientDisabled,
    "invalid_grant": TokenRejected,
    "redirect_uri_mismatch": RedirectNotRegistered,
    "invalid_redirect_uri": RedirectNotRegistered,
    "invalid_scope": RequestRejected,
    "invalid_request": RequestRejected,
    "unsupported_grant_type": RequestRejected,
    "temporarily_unavailable": Unreachable,
}
# In a callback (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6). After any other error, nobody has logged in.
_CALLBACK_ERRORS: Mapping[str, type[XWMSError]] = {
    "access_denied": TokenMissing,
    "login_required": TokenMissing,
    "consent_required": TokenMissing,
    "interaction_required": TokenMissing,
    "account_selection_required": TokenMissing,
    "unmet_authentication_requirements": TokenMissing,
    "unauthorized_client": ClientDisabled,
    "invalid_scope": RequestRejected,
    "invalid_request": RequestRejected,
    "unsupported_response_type": RequestRejected,
    "server_error": BadAnswer,
    "temporarily_unavailable": Unreachable,
}


def state_of(seed: str) -> str:
    """The `state` of a login: 256 bits, derived from the seed in this browser's cookie."""
    return derived(seed, "state")


def nonce_of(seed: str) -> str:
    """The `nonce` of a login, which its ID token must contain."""
    return derived(seed, "nonce")


def _verifier_of(seed: str) -> str:
    """The PKCE verifier of a login, 43 characters (RFC 7636 4.1); it cannot be derived from state or nonce."""
    return derived(seed, "code_verifier")


def authorization_url(
    config: XWMSConfig, metadata: Metadata, redirect_uri: str, *, seed: str, max_age: int | None, params: LoginParams
) -> str:
    """Return the URL of the authorization request, always with the S256 challenge of PKCE. The verifier is not sent.

    `max_age` requires that the user has logged in at the server itself within that many seconds.
    """
    prompts = params.prompt.split()
    if config.openid and "offline_access" in config.scopes and "consent" not in prompts and not params.is_silent:
        # OpenID Connect Core 11: without prompt=consent, a strictly conforming server ignores offline_access.
        prompts.append("consent")
    return _grant_uri(
        metadata.authorization_endpoint,
        client_id=config.client_id,
        response_type="code",
        redirect_uri=redirect_uri,
        scope=" ".join(config.scopes),
        state=state_of(seed),
        nonce=nonce_of(seed) if config.openid else None,
        prompt=" ".join(prompts) or None,
        ui_locales=params.ui_locales or None,
        login_hint=params.login_hint or None,
        acr_values=params.acr_values or None,
        max_age=None if max_age is None or not config.openid else str(max_age),
        code_challenge=_s256(_verifier_of(seed)),
        code_challenge_method="S256",
    )


def exchange_code(metadata: Metadata, code: str, redirect_uri: str, *, seed: str) -> OAuthCall:
    """Exchange a code for tokens, with the verifier of its login."""
    form = prepare_token_request(
        "authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=_verifier_of(seed)
    )
    return OAuthCall(url=metadata.token_endpoint, form=form)


def refresh(metadata: Metadata, refresh_token: Secret) -> OAuthCall:
    """Exchange a refresh token for new tokens (RFC 6749 6)."""
    form = prepare_token_request("refresh_token", refresh_token=refresh_token.reveal())
    # A refresh token that was sent may have been exchanged: without the response the login's tokens are lost.
    return OAuthCall(url=metadata.token_endpoint, form=form, must_finish=True)


def revoke(url: str, tokens: TokenSet) -> OAuthCall:
    """Revoke tokens (RFC 7009 2.1). Revoking a refresh token also revokes the access tokens issued for it."""
    has_refresh_token = tokens.refresh_token is not None
    token = (tokens.refresh_token or tokens.access_token).reveal()
    hint = "refresh_token" if has_refresh_token else "access_token"
    form, _ = _revoke_request(token, token_type_hint=hint, body="")
    return OAuthCall(url=url, form=form)


def logout_url(url: str, config: XWMSConfig, *, back_to: str, id_token: Secret | None) -> str:
    """Return the URL for logging out at the server too (OpenID Connect RP-Initiated Logout 2).

    An ID token that is too long for a header is left out: without one the server asks the user instead.
    """
    params = [("client_id", config.client_id), ("post_logout_redirect_uri", back_to)]
    if id_token is not None:
        with_hint = _with_query(url, [("id_token_hint", id_token.reveal()), *params])
        if len(with_hint) <= MAX_LOGOUT_URL:
            return with_hint
        events.warning("id_token_hint_too_long")
    return _with_query(url, params)


def ask_for_keys(url: str) -> OAuthCall:
    """Request the server's public keys (JWKS)."""
    return OAuthCall(url=url)


def ask_for_person(url: str, access_token: Secret) -> OAuthCall:
    """Request the claims of the access token's user from the userinfo endpoint."""
    return OAuthCall(url=url, bearer=access_token)


def error_in_callback(code: str) -> XWMSError:
    """Return the error for the `error` parameter of a callback. `error_description` is never read."""
    error = _CALLBACK_ERRORS.get(code, TokenMissing)
    known_code = code if code in _CALLBACK_ERRORS else "an unknown error"
    return error(f"the authorization server ended the login: {known_code}")


def read_tokens(response: UpstreamResponse, *, asked: Sequence[str], now: int) -> TokenSet:
    """Parse a token response. `asked` is the requested scope, which applies if the response has none."""
    params = _parse(response, "the token endpoint", refused=TokenRejected)
    # Some servers leave the type out; one that binds its tokens to a key has to name it (RFC 9449 5).
    kind: object = params.get("token_type")
    if kind is not None and str(kind).lower() != "bearer":
        raise BadAnswer("the token endpoint's token_type is not Bearer")
    access_token = _token(params, "access_token")
    if access_token is None:
        raise BadAnswer("the token endpoint's access_token is missing")
    expires_in = _expires_in(params.get("expires_in"))
    return TokenSet(
        access_token=access_token,
        # Empty where a server has none to give.
        refresh_token=None if params.get("refresh_token") == "" else _token(params, "refresh_token"),
        id_token=_token(params, "id_token"),
        scope=tuple(asked) if params.get("scope") is None else _scopes(params),
        expires_at=None if expires_in is None else now + expires_in,
    )


def read_revoked(response: UpstreamResponse) -> None:
    """Parse a revocation response: 200 if the token is revoked or was invalid anyway (RFC 7009 2.2)."""
    if response.status != 200:
        raise (
            _error(response.status, json_object(response), "the revocation endpoint", BadAnswer)
            if (400 <= response.status < 500)
            else unavailable(response, "the revocation endpoint")
        )


def read_person(response: UpstreamResponse) -> JSONObject:
    """Parse the claims of a userinfo response."""
    return _parse(response, "userinfo", refused=TokenRejected)


def user_of(id_claims: JSONObject, userinfo: JSONObject, *, issuer: str) -> User:
    """Return the user from the claims of an ID token and of userinfo. The caller has checked that their `sub` is equal.

    Userinfo is newer and takes precedence. `email` and `email_verified` are always taken from the same source.
    """
    older: dict[str, Any] = dict(id_claims)
    newer: dict[str, Any] = dict(userinfo)
    (older if "email" in userinfo else newer).pop("email_verified", None)
    try:
        return User.parse({**older, **newer}, issuer=issuer)
    except ValueError as fault:
        cause = f"the user: {fault}"
    raise BadAnswer(cause)


def _expires_in(value: object) -> int | None:
    """Return the lifetime of a token in seconds: 0 if it has expired, None if it is missing or very long.

    Some servers send the number as text, as 3600.0, or both. An invalid value is not treated as a missing one, since
    the token would then never expire.
    """
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadAnswer("the token endpoint's expires_in is not a number of seconds")
    return None if value > MAX_EXPIRES_IN else int(max(value, 0))


def _scopes(params: JSONObject) -> tuple[str, ...]:
    try:
        return parse_granted(params["scope"])
    except ValueError as fault:
        cause = f"the token endpoint's {fault}"
    raise BadAnswer(cause)


def _token(params: JSONObject, name: str) -> Secret | None:
    if params.get(name) is None:
        return None
    # No local variable of a frame that raises may hold the token: a crash report would show it.
    if not _is_token(params[name]):
        raise BadAnswer(f"the token endpoint's {name} is malformed")
    return Secret(params[name])


def _is_token(value: object) -> bool:
    # The token will be sent in a header later, so control characters are refused (header injection).
    return isinstance(value, str) and 1 <= len(value) <= MAX_OAUTH_TOKEN and all("!" <= char <= "~" for char in value)


def _parse(response: UpstreamResponse, where: str, *, refused: type[APIError]) -> JSONObject:
    if response.status in (429, 502, 503, 504):
        raise unavailable(response, where)
    if response.status != 200 and not 400 <= response.status < 500:
        raise BadAnswer(f"{where} answered {response.status}", upstream_status=response.status)
    body = json_object(response)
    if response.status != 200:
        raise _error(response.status, body, where, refused)
    if isinstance(body, BadAnswer):
        raise BadAnswer(f"{where}: {body.cause}", upstream_status=response.status)
    # Both must agree: a 200 with an error is invalid. Some servers always have the member.
    if body.get("error") not in (None, ""):
        raise BadAnswer(f"{where} answered 200 with an error")
    return body


def _error(status: int, body: JSONObject | BadAnswer, where: str, refused: type[APIError]) -> APIError:
    code: object = None if isinstance(body, BadAnswer) else body.get("error")
    known = isinstance(code, str) and code in _ERRORS
    if known:
        error = _ERRORS[str(code)]
    elif where == "userinfo" and status in (401, 403):
        error = NotApproved if status == 403 else refused
    else:
        # Not as RFC 6749 5.2 describes; perhaps the page of a proxy.
        error = CredentialsRejected if status == 401 else BadAnswer
    return error(f"{where} answered {status}: {code if known else 'no known error code'}", upstream_status=status)
