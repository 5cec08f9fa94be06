"""OAuth 2.0 and OpenID Connect as data: build the addresses and calls of a login, read the answers.

Authlib writes the requests (RFC 6749 4.1.1 and 4.1.3, RFC 7636 4.2). Its HTTP clients are not used: they follow
redirects, with the client secret, and write the PKCE verifier into the log.

Knows: parameters, and what an answer of each endpoint holds.
Must not: send anything, or let a word of the server's out.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

try:
    from authlib.common.urls import (
        add_params_to_uri,  # pyright: ignore[reportUnknownVariableType]  the stubs leave its result open
    )
    from authlib.oauth2.rfc6749.parameters import (
        prepare_grant_uri,  # pyright: ignore[reportUnknownVariableType]  the stubs leave its result open
        prepare_token_request,
    )
    from authlib.oauth2.rfc7009.parameters import (
        prepare_revoke_token_request,  # pyright: ignore[reportUnknownVariableType]  the stubs say nothing of it
    )
    from authlib.oauth2.rfc7636 import (
        create_s256_code_challenge,  # pyright: ignore[reportUnknownVariableType]  the stubs say nothing of it
    )
except ImportError as missing:  # pragma: no cover
    raise ImportError("flow=oauth2 needs Authlib: pip install 'xwms-auth[oauth2]'") from missing

from ..base.effects import OAuthCall, UpstreamResponse, json_object
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
from ..base.models import TokenSet, User
from ..base.secrets import Secret
from ..base.signing import derived
from ..base.strict_json import JSONObject, parse_granted
from ..config.config import XWMSConfig
from ..config.server_metadata import Metadata

_grant_uri = cast("Callable[..., str]", prepare_grant_uri)
_revocation = cast("Callable[..., tuple[str, object]]", prepare_revoke_token_request)
_with_query = cast("Callable[[str, list[tuple[str, str]]], str]", add_params_to_uri)
_s256 = cast("Callable[[str], str]", create_s256_code_challenge)

MAX_TOKEN = 16 * 1024
"""Characters of a token worth keeping."""

MAX_EXPIRES_IN = 400 * 86400
"""Seconds. A longer life is as good as none said."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")

_REFUSALS: Mapping[str, type[APIError]] = {
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
# In a callback, by RFC 6749 4.1.2.1 and OpenID Connect Core 3.1.2.6; whatever else there is, nobody has logged in.
_ERRORS: Mapping[str, type[XWMSError]] = {
    "access_denied": TokenMissing,
    "login_required": TokenMissing,
    "consent_required": TokenMissing,
    "interaction_required": TokenMissing,
    "unauthorized_client": ClientDisabled,
    "invalid_scope": RequestRejected,
    "invalid_request": RequestRejected,
    "unsupported_response_type": RequestRejected,
    "server_error": BadAnswer,
    "temporarily_unavailable": Unreachable,
}


def state_of(seed: str) -> str:
    """The `state` of a login: 256 bits that only this browser's cookie can tell."""
    return derived(seed, "state")


def nonce_of(seed: str) -> str:
    """The `nonce` of a login, which its ID token has to repeat."""
    return derived(seed, "nonce")


def _verifier_of(seed: str) -> str:
    """The PKCE verifier of a login, 43 characters (RFC 7636 4.1); neither state nor nonce tells it."""
    return derived(seed, "code_verifier")


def authorization_url(
    config: XWMSConfig, metadata: Metadata, redirect_uri: str, *, seed: str, max_age: int | None
) -> str:
    """Where to send the browser. The verifier stays here; its S256 challenge goes along, always.

    `max_age` demands that the person has logged in at the server itself in the last so many seconds.
    """
    return _grant_uri(
        metadata.authorization_endpoint,
        client_id=config.client_id,
        response_type="code",
        redirect_uri=redirect_uri,
        scope=" ".join(config.scopes) or None,
        state=state_of(seed),
        nonce=nonce_of(seed) if config.openid else None,
        # OpenID Connect Core 11: without it a server that keeps to the letter ignores offline_access.
        prompt="consent" if config.openid and "offline_access" in config.scopes else None,
        max_age=None if max_age is None or not config.openid else str(max_age),
        code_challenge=_s256(_verifier_of(seed)),
        code_challenge_method="S256",
    )


def exchange_code(metadata: Metadata, code: str, redirect_uri: str, *, seed: str) -> OAuthCall:
    """Change a code into tokens, with the verifier of the login that it came to."""
    form = prepare_token_request(
        "authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=_verifier_of(seed)
    )
    return OAuthCall(url=metadata.token_endpoint, form=form, authenticated=True)


def refresh(metadata: Metadata, refresh_token: Secret) -> OAuthCall:
    """Change a refresh token into new tokens (RFC 6749 6)."""
    form = prepare_token_request("refresh_token", refresh_token=refresh_token.reveal())
    return OAuthCall(url=metadata.token_endpoint, form=form, authenticated=True)


def revoke(url: str, tokens: TokenSet) -> OAuthCall:
    """Give tokens back (RFC 7009 2.1). Revoking a refresh token ends the access tokens that came of it."""
    refreshes = tokens.refresh_token is not None
    token = (tokens.refresh_token or tokens.access_token).reveal()
    form, _ = _revocation(token, token_type_hint="refresh_token" if refreshes else "access_token", body="")
    return OAuthCall(url=url, form=form, authenticated=True)


def logout_url(url: str, config: XWMSConfig, *, back_to: str) -> str:
    """Where to send the browser to log out there too (OpenID Connect RP-Initiated Logout 2).

    Without the ID token as a hint, which would show the person's name in the address: the server asks them instead.
    """
    return _with_query(url, [("client_id", config.client_id), ("post_logout_redirect_uri", back_to)])


def ask_for_keys(url: str) -> OAuthCall:
    """Ask for the server's public keys."""
    return OAuthCall(url=url)


def ask_for_person(url: str, access_token: Secret) -> OAuthCall:
    """Ask whose access token this is."""
    return OAuthCall(url=url, bearer=access_token)


def error_in_callback(code: str) -> XWMSError:
    """What an `error` that came to a login of ours means. The description beside it is never read."""
    error = _ERRORS.get(code, TokenMissing)
    said = code if code in _ERRORS else "an unknown error"
    return error(f"the authorization server ended the login: {said}")


def read_tokens(reply: UpstreamResponse, *, asked: Sequence[str], now: int) -> TokenSet:
    """Read the answer of a token endpoint. `asked` is the scope that counts where the answer names none."""
    answer = _success(reply, "the token endpoint", refused=TokenRejected)
    if str(answer.get("token_type")).lower() != "bearer":
        raise BadAnswer("the token endpoint gave a token of another type than Bearer")
    access_token = _token(answer, "access_token")
    if access_token is None:
        raise BadAnswer("the token endpoint gave no access token")
    lasts = _lifetime(answer.get("expires_in"))
    return TokenSet(
        access_token=access_token,
        refresh_token=_token(answer, "refresh_token"),
        id_token=_token(answer, "id_token"),
        scope=tuple(asked) if answer.get("scope") is None else _granted(answer),
        expires_at=None if lasts is None else now + lasts,
    )


def read_revoked(reply: UpstreamResponse) -> None:
    """Read the answer of the revocation endpoint: 200 for a token that has ended, or never was (RFC 7009 2.2)."""
    if reply.status != 200:
        raise (
            _refusal(reply.status, json_object(reply), "the revocation endpoint", BadAnswer)
            if (400 <= reply.status < 500)
            else Unreachable(f"the revocation endpoint answered {reply.status}", upstream_status=reply.status)
        )


def read_person(reply: UpstreamResponse) -> JSONObject:
    """Read the claims that userinfo gives."""
    return _success(reply, "userinfo", refused=TokenRejected)


def user_of(told: JSONObject, asked: JSONObject, *, issuer: str) -> User:
    """The person of an ID token (`told`) and of userinfo (`asked`), which have been found to be about one person.

    Userinfo is newer and goes first. An address and whether it is verified are taken from one of them, never mixed.
    """
    older: dict[str, Any] = dict(told)
    newer: dict[str, Any] = dict(asked)
    (older if "email" in asked else newer).pop("email_verified", None)
    try:
        return User.parse({**older, **newer}, issuer=issuer)
    except ValueError as fault:
        cause = f"the person: {fault}"
    raise BadAnswer(cause)


def _lifetime(life: object) -> int | None:
    """How many seconds a token lasts: 0 for one that has ended already, None where nothing is said, or very much.

    Servers write the number as text or as 3600.0, too. What is no number is no silence: the token would count for ever.
    """
    if life is None:
        return None
    if isinstance(life, str) and _WHOLE.fullmatch(life):
        life = int(life)
    if isinstance(life, bool) or not isinstance(life, int | float):
        raise BadAnswer("the token endpoint's expires_in is not a number of seconds")
    return None if life > MAX_EXPIRES_IN else int(max(life, 0))


def _granted(answer: JSONObject) -> tuple[str, ...]:
    try:
        return parse_granted(answer["scope"])
    except ValueError as fault:
        cause = f"the token endpoint's {fault}"
    raise BadAnswer(cause)


def _token(answer: JSONObject, name: str) -> Secret | None:
    if answer.get(name) is None:
        return None
    # No local of a frame that raises may hold it: a crash report would show it.
    if not _is_token(answer[name]):
        raise BadAnswer(f"the token endpoint's {name} has an impossible form")
    return Secret(answer[name])


def _is_token(value: object) -> bool:
    # It will travel in a header again.
    return isinstance(value, str) and 1 <= len(value) <= MAX_TOKEN and all("!" <= char <= "~" for char in value)


def _success(reply: UpstreamResponse, where: str, *, refused: type[APIError]) -> JSONObject:
    if reply.status in (429, 502, 503, 504):
        raise Unreachable(f"{where} answered {reply.status}", upstream_status=reply.status)
    if reply.status != 200 and not 400 <= reply.status < 500:
        raise BadAnswer(f"{where} answered {reply.status}", upstream_status=reply.status)
    answer = json_object(reply)
    if reply.status != 200:
        raise _refusal(reply.status, answer, where, refused)
    if isinstance(answer, BadAnswer):
        raise answer
    # Both must agree: a 200 that names an error is nonsense.
    if "error" in answer:
        raise BadAnswer(f"{where} answered 200 with an error")
    return answer


def _refusal(status: int, answer: JSONObject | BadAnswer, where: str, refused: type[APIError]) -> APIError:
    code: object = None if isinstance(answer, BadAnswer) else answer.get("error")
    known = isinstance(code, str) and code in _REFUSALS
    if known:
        error = _REFUSALS[str(code)]
    elif where == "userinfo" and status in (401, 403):
        error = NotApproved if status == 403 else refused
    else:
        # Not what RFC 6749 5.2 describes; a page of a proxy perhaps.
        error = CredentialsRejected if status == 401 else BadAnswer
    return error(f"{where} answered {status}: {code if known else 'no error that is known'}", upstream_status=status)
