"""OAuth 2.0 authorization code flow with PKCE (RFC 6749, 7636, 9700), and OpenID Connect if `openid` is requested.

Login CSRF: never accepts a callback whose `state` is not that of a pending login of this browser. `state`, verifier and
nonce of a login are derived from one random seed, which is only in the encrypted cookie of the browser that started the
login, so that another browser has no matching `state` (CVE-2025-68158 and CVE-2026-41425 are about clients that kept it
where every browser could use it).

Code injection: a code is useless without the verifier, which this server sends to the token endpoint only.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ..base import events
from ..base.crypto.digests import new_key
from ..base.effects import Shielded, Steps, ask
from ..base.errors import (
    APIError,
    BadAnswer,
    LoginNotStarted,
    TokenMalformed,
    TokenMissing,
    TokenRejected,
    TooManyLogins,
    XWMSError,
)
from ..base.models import Identity, Secret, TokenSet, newer
from ..base.session import Session
from ..base.strict_json import JSONObject
from ..config.context import Context
from ..config.credentials import send_as_client
from ..config.server.metadata import Metadata
from ..http.login_params import LoginParams
from ..http.messages import MAX_LOCATION, Request
from ..http.urls import RedirectURI
from ..providers.pending_login import PendingLogin
from ..providers.protocol import (
    CallbackParams,
    CheckedCallback,
    LoginResult,
    LoginStart,
    LogoutTokenClaims,
    MatchingLogins,
)
from . import endpoints as wire
from .discovery import keys_for, metadata_for
from .id_token import check_id_token, check_refreshed_id_token, proved_at, sid_of
from .jwt import SignedJWT, VerifiedClaims, parse_signed_jwt, verified_claims
from .logout_token import read_logout_token
from .token_revocation import retry_pending, revoke_pending, revoke_tokens
from .userinfo import request_userinfo

MAX_CODE = 4096
"""Most characters of a code in a callback."""


class OAuth2Provider:
    """Implements `Provider`. The proof of a pending login is the seed of its state, verifier and nonce."""

    def __init__(self) -> None:
        self.tokens = OAuth2Tokens()

    def confirmation_origins(self, context: Context, *, now: int) -> Steps[Sequence[str] | None]:
        # Login CSRF: a page that starts a login in the user's browser does not learn its state, so it cannot build a
        # callback URL that this browser would accept.
        yield from ()
        return None

    def start(
        self, context: Context, uri: RedirectURI, *, fresh: int | None, params: LoginParams, now: int
    ) -> Steps[LoginStart]:
        metadata = yield from metadata_for(context, now=now)
        if metadata.demand is not None:
            raise BadAnswer(metadata.demand)
        # Not later: nothing has begun yet that could be lost if the server is slow.
        yield from retry_pending(context, now=now)
        seed = new_key()
        authorize = partial(wire.authorization_url, context.config, metadata, uri.uri, seed=seed, max_age=fresh)
        url = authorize(params=params)
        if len(url) > MAX_LOCATION:
            # The others are hints, without which the login is the same.
            url = authorize(params=params.only(["prompt"]))
        return LoginStart(url=url, proof=seed)

    def parse_callback(self, request: Request) -> CallbackParams:
        # An access_token or id_token in the query is ignored: tokens come from the token endpoint only.
        query = {name: request.parameters(name) for name in ("code", "state", "iss", "error")}
        if any(len(values) > 1 for values in query.values()):
            raise TokenMalformed("the callback repeats a parameter")
        code, state, issuer, error = (next(iter(values), None) for values in query.values())
        if code is None and error is None:
            raise TokenMissing("the callback has neither code nor error")
        if code is not None and error is not None:
            raise TokenMalformed("the callback has both code and error")
        if code is not None and (state is None or not _is_plausible(code)):
            raise TokenMalformed("the callback has no state" if state is None else "the code is malformed")
        return CallbackParams(credential=code or "", state=state or "", issuer=issuer, error=error)

    def matching_logins(
        self, context: Context, params: CallbackParams, logins: Sequence[PendingLogin], *, now: int
    ) -> Steps[MatchingLogins]:
        yield from ()
        state = params.state.encode("utf-8", "replace")
        matching = (login for login in logins if hmac.compare_digest(wire.state_of(login.proof).encode(), state))
        # Nobody can guess a state, so one that matches no pending login says nothing about those.
        return MatchingLogins(logins=tuple(matching), exact=True, own_copies=True)

    def check_sender(self, context: Context, request: Request, uri: RedirectURI) -> None:
        # The state is stronger than a Referer, and the server may have its login page on any host.
        pass

    def invalidate(
        self, context: Context, uri: RedirectURI, params: CallbackParams, *, address: object, now: int
    ) -> Steps[bool]:
        # Not needed: a code is bound to the verifier of its login. Whoever started that login does not have the code,
        # and this browser, which has the code, does not have the verifier.
        yield from ()
        return False

    def check_callback(
        self, context: Context, params: CallbackParams, matching: MatchingLogins, *, now: int
    ) -> Steps[XWMSError | None]:
        if not matching.logins:
            return None
        metadata = yield from metadata_for(context, now=now)
        if fault := _issuer_fault(metadata, params):
            return TokenRejected(fault)
        return None if params.error is None else wire.error_in_callback(params.error)

    def mismatch_error(self, params: CallbackParams) -> XWMSError:
        if params.error is not None:
            return TokenMissing("the callback has an error for no pending login of this browser")
        return LoginNotStarted("the state belongs to no pending login of this browser, or has already been used")

    def is_invalidated(self, context: Context, params: CallbackParams, *, now: int) -> Steps[bool]:
        yield from ()
        return False

    def needs_confirmation(self, context: Context, matching: MatchingLogins, *, now: int) -> Steps[bool]:
        yield from ()
        return False

    def redeem(self, context: Context, callback: CheckedCallback, *, now: int) -> Steps[LoginResult]:
        config, seed = context.config, callback.login.proof
        metadata = yield from metadata_for(context, now=now)
        call = wire.exchange_code(metadata, callback.credential, callback.uri.uri, seed=seed)
        tokens = yield from send_as_client(config, call, partial(wire.read_tokens, asked=config.scopes, now=now))
        try:
            nonce, max_age = wire.nonce_of(seed), callback.login.fresh
            return (yield from _login_result(context, metadata, tokens, nonce=nonce, max_age=max_age, now=now))
        except APIError as error:
            error.sent = True  # the code was sent, whatever failed after that
            raise

    def revalidate(self, context: Context, session: Session, *, now: int) -> Steps[Session]:
        metadata = yield from metadata_for(context, now=now)
        if session.tokens is None or metadata.userinfo_endpoint is None:
            # That says nothing about the user, so it is not a refusal.
            raise BadAnswer("revalidation needs an access token and a userinfo endpoint")
        token = session.tokens.access_token
        userinfo = yield from request_userinfo(context, metadata, metadata.userinfo_endpoint, token, now=now)
        user = wire.user_of(JSONObject(), userinfo, issuer=metadata.issuer)
        if user.sub != session.user.sub:
            raise BadAnswer("the sub of userinfo is not that of the session")
        return replace(session, user=newer(session.user, user), checked_at=now)


class OAuth2Tokens:
    """Implements `TokenProvider`."""

    def prepare_refresh(self, context: Context, *, now: int) -> Steps[None]:
        yield from metadata_for(context, now=now)

    def refresh(self, context: Context, tokens: TokenSet, *, sub: str, now: int) -> Steps[TokenSet]:
        if tokens.refresh_token is None:
            raise TokenRejected("there is no refresh token")
        metadata = yield from metadata_for(context, now=now)
        call = wire.refresh(metadata, tokens.refresh_token)
        read = partial(wire.read_tokens, asked=tokens.scope, now=now)
        new = yield from send_as_client(context.config, call, read)
        if new.id_token is not None and context.config.openid:
            yield from _check_refreshed(context, metadata, new, new.id_token, sub=sub, now=now)
        # A server that does not rotate sends no new refresh token (RFC 6749 6).
        refresh_token = new.refresh_token or tokens.refresh_token
        return replace(
            new, refresh_token=refresh_token, id_token=tokens.id_token, sid=tokens.sid, number=tokens.number + 1
        )

    def revoke_tokens(self, context: Context, tokens: TokenSet, *, of: Identity, now: int) -> Steps[None]:
        return revoke_tokens(context, tokens, of=of, now=now)

    def revoke_pending(self, context: Context, *, now: int) -> Steps[None]:
        return ask(Shielded(revoke_pending(context, now=now)))

    def end_session(self, context: Context, session: Session, uri: RedirectURI, target: str, *, now: int) -> Steps[str]:
        tokens = None if session.tokens is None else context.state.refreshed_tokens.newest(session.tokens, now=now)
        person = session.user.identity
        try:
            metadata = yield from metadata_for(context, now=now)
        except APIError as error:
            events.warning("not_logged_out_at_the_server", cause=str(error))
            if tokens is not None:
                context.state.pending_revocations.keep(tokens, of=person, since=now, now=now)
            return target
        if tokens is not None:
            yield from revoke_tokens(context, tokens, of=person, now=now)
        if metadata.end_session_endpoint is None or not context.config.provider_logout:
            return target
        # Not to the target of this logout: servers compare the URL with the registered ones.
        back_to = uri.origin + context.config.after_logout
        id_token = tokens.id_token if tokens is not None and context.config.id_token_hint else None
        return wire.logout_url(metadata.end_session_endpoint, context.config, back_to=back_to, id_token=id_token)

    def verify_logout_token(self, context: Context, logout_token: str, *, now: int) -> Steps[LogoutTokenClaims]:
        token = parse_signed_jwt(logout_token)
        # Denial of service: anybody may post here, so invalid tokens must not cause any number of calls to the server.
        if not context.knows_server(now) and not context.state.logout_tokens.take(now):
            raise TooManyLogins("the rate limit for requests to the server about logout tokens is reached")
        metadata = yield from metadata_for(context, now=now)
        claims = verified_claims(token, (yield from keys_for(context, metadata, token, now=now)))
        return read_logout_token(claims, issuer=metadata.issuer, client_id=context.config.client_id, now=now)


def _is_plausible(code: str) -> bool:
    return 1 <= len(code) <= MAX_CODE and all(" " <= char <= "~" for char in code)


def _issuer_fault(metadata: Metadata, params: CallbackParams) -> str | None:
    """Mix-up attack (RFC 9207 2.4): a code of one server must not be sent to another, which may be an attacker's."""
    if params.issuer is None:
        return "the callback has no iss, although the server supports it" if metadata.names_itself else None
    return None if params.issuer == metadata.issuer else "the iss of the callback is not the configured issuer"


def _login_result(
    context: Context, metadata: Metadata, tokens: TokenSet, *, nonce: str, max_age: int | None, now: int
) -> Steps[LoginResult]:
    """Return the user of these tokens. With `openid` the ID token identifies them, and userinfo only adds claims."""
    id_claims = JSONObject()
    if context.config.openid:
        id_claims = yield from _id_claims(context, metadata, tokens, nonce=nonce, max_age=max_age, now=now)
    userinfo = JSONObject()
    if metadata.userinfo_endpoint is not None:
        endpoint, access_token = metadata.userinfo_endpoint, tokens.access_token
        userinfo = yield from request_userinfo(context, metadata, endpoint, access_token, now=now)
        # Token substitution: finds an access token of another user (OpenID Connect Core 5.3.2).
        if id_claims and userinfo.get("sub") != id_claims["sub"]:
            raise TokenRejected("the sub of userinfo is not that of the ID token")
    elif not id_claims:
        raise BadAnswer("without openid a userinfo endpoint is needed: set XWMS_USERINFO_ENDPOINT, or ask for openid")
    user = wire.user_of(id_claims, userinfo, issuer=metadata.issuer)
    id_token, sid = tokens.id_token if context.config.id_token_hint else None, sid_of(id_claims)
    if sid is not None and sid in context.state.ended_logins:
        raise TokenRejected("the user has logged out at the server meanwhile")
    kept = replace(tokens, id_token=id_token, sid=sid)
    return LoginResult(user=user, tokens=kept, proved_at=proved_at(id_claims, now=now) if id_claims else None)


def _id_claims(
    context: Context, metadata: Metadata, tokens: TokenSet, *, nonce: str, max_age: int | None, now: int
) -> Steps[JSONObject]:
    """Return the claims of the ID token, with signature and claims validated."""
    if tokens.id_token is None:
        raise TokenRejected("there is no ID token, although openid was requested")
    token, claims = yield from _verified(context, metadata, tokens.id_token, now=now)
    check_id_token(
        claims,
        algorithm=token.algorithm,
        issuer=metadata.issuer,
        client_id=context.config.client_id,
        nonce=nonce,
        access_token=tokens.access_token,
        now=now,
        max_age=max_age,
    )
    return claims


def _check_refreshed(
    context: Context, metadata: Metadata, tokens: TokenSet, id_token: Secret, *, sub: str, now: int
) -> Steps[None]:
    """Check that the ID token of a refresh is about the same user."""
    try:
        token, claims = yield from _verified(context, metadata, id_token, now=now)
    except APIError as error:
        # It came directly from the token endpoint, and nothing of it is used. That the keys are not available now is no
        # reason to lose the new tokens: the old refresh token has been used.
        events.warning("id_token_not_verified", cause=str(error))
        return
    check_refreshed_id_token(
        claims,
        algorithm=token.algorithm,
        issuer=metadata.issuer,
        client_id=context.config.client_id,
        sub=sub,
        access_token=tokens.access_token,
        now=now,
    )


def _verified(
    context: Context, metadata: Metadata, id_token: Secret, *, now: int
) -> Steps[tuple[SignedJWT, VerifiedClaims]]:
    token = parse_signed_jwt(id_token.reveal())
    return token, verified_claims(token, (yield from keys_for(context, metadata, token, is_direct=True, now=now)))
