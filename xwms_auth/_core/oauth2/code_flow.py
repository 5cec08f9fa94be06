"""OAuth 2.0 authorization code with PKCE (RFC 6749, 7636, 9700), and OpenID Connect where `openid` is asked for.

`state` ties the callback to the login, and the code is worth nothing without the verifier, which never leaves this
server but for the token endpoint. All three secrets of a login come from one random seed, which is nowhere but in the
sealed cookie of the browser that began it: another browser that is led to the callback has no state that fits
(CVE-2025-68158, CVE-2026-41425 tell of servers that kept it where every browser could use it).

Knows: the order of the protocol's steps.
Must not: take a callback whose `state` is not of a login of this browser, whatever else it brings.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace

from ..base import events
from ..base.effects import CallXWMS, Steps, ask
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
from ..base.models import Session, TokenSet, newer
from ..base.secrets import Secret
from ..base.signing import new_key
from ..base.strict_json import JSONObject
from ..config.context import Context
from ..config.server_metadata import Metadata
from ..http.messages import Request
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
from . import messages as wire
from .discovery import keys_for, metadata_for
from .id_token import check_id_token, check_refreshed_id_token, proved_at, sid_of
from .jwt import SignedJWT, VerifiedClaims, parse_signed_jwt, verified_claims
from .logout_token import read_logout_token
from .token_revocation import retry_pending, revoke_tokens

MAX_CODE = 4096
"""Characters. Longer is not a code in an address."""


class OAuth2Provider:
    """Follows `Provider`. The proof of a pending login is the seed of its state, verifier and nonce."""

    def __init__(self) -> None:
        self.tokens = OAuth2Tokens()

    def confirmation_origins(self, context: Context, *, now: int) -> Steps[Sequence[str] | None]:
        # A page that opens the login in a person's browser learns nothing of the state that goes to the server, so
        # it has no callback address that this browser would take.
        yield from ()
        return None

    def start(self, context: Context, uri: RedirectURI, *, fresh: int | None, now: int) -> Steps[LoginStart]:
        metadata = yield from metadata_for(context, now=now)
        # Here and nowhere later: nothing is under way yet that could be lost if the server is slow.
        yield from retry_pending(context, now=now)
        seed = new_key()
        url = wire.authorization_url(context.config, metadata, uri.uri, seed=seed, max_age=fresh)
        return LoginStart(url=url, proof=seed)

    def parse_callback(self, request: Request) -> CallbackParams:
        # An access_token or id_token in the query is not looked for: only the token endpoint gives tokens.
        found = {name: request.parameters(name) for name in ("code", "state", "iss", "error")}
        if any(len(values) > 1 for values in found.values()):
            raise TokenMalformed("the callback has a parameter twice")
        code, state, issuer, error = (next(iter(values), None) for values in found.values())
        if code is None and error is None:
            raise TokenMissing("the callback has neither code nor error")
        if code is not None and error is not None:
            raise TokenMalformed("the callback has both code and error")
        if code is not None and (state is None or not _is_plausible(code)):
            raise TokenMalformed("the callback has no state" if state is None else "the code has an impossible form")
        return CallbackParams(credential=code or "", state=state or "", issuer=issuer, error=error)

    def matching_logins(
        self, context: Context, params: CallbackParams, logins: Sequence[PendingLogin], *, now: int
    ) -> Steps[MatchingLogins]:
        yield from ()
        state = params.state.encode("utf-8", "replace")
        of_state = (login for login in logins if hmac.compare_digest(wire.state_of(login.proof).encode(), state))
        # Nobody can guess a state, so one that fits nothing says nothing about the logins that are under way.
        return MatchingLogins(logins=tuple(of_state), exact=True, own_copies=True)

    def check_sender(self, context: Context, request: Request, uri: RedirectURI) -> None:
        # State tells more than a Referer; a server may have its sign-in page on any host.
        pass

    def invalidate(self, context: Context, uri: RedirectURI, params: CallbackParams, *, now: int) -> Steps[bool]:
        # A code is bound to the verifier of its login: whoever began that login does not have the code, and this
        # browser, which has the code, does not have the verifier.
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
            return TokenMissing("an error came to no login of this browser")
        return LoginNotStarted("the state is of no login that this browser has under way, or it has been used already")

    def is_invalidated(self, context: Context, params: CallbackParams, *, now: int) -> Steps[bool]:
        yield from ()
        return False

    def needs_confirmation(self, context: Context, matching: MatchingLogins, *, now: int) -> Steps[bool]:
        yield from ()
        return False

    def redeem(self, context: Context, callback: CheckedCallback, *, now: int) -> Steps[LoginResult]:
        config, seed = context.config, callback.login.proof
        metadata = yield from metadata_for(context, now=now)
        reply = yield from ask(CallXWMS(wire.exchange_code(metadata, callback.credential, callback.uri.uri, seed=seed)))
        try:
            tokens = wire.read_tokens(reply, asked=config.scopes, now=now)
            nonce, max_age = wire.nonce_of(seed), callback.login.fresh
            result = yield from _person(context, metadata, tokens, nonce=nonce, max_age=max_age, now=now)
            if (
                result.tokens is not None
                and result.tokens.sid is not None
                and result.tokens.sid in context.state.ended_logins
            ):
                raise TokenRejected("the person has logged out at the server meanwhile")
            return result
        except APIError as error:
            error.sent = True  # the code was, whatever failed after it
            raise

    def revalidate(self, context: Context, session: Session, *, now: int) -> Steps[Session]:
        metadata = yield from metadata_for(context, now=now)
        if session.tokens is None or metadata.userinfo_endpoint is None:
            # Nothing to ask with, or nobody to ask: that is no answer about the person.
            raise BadAnswer("there is no access token, or no userinfo endpoint, to ask with")
        told = yield from _ask_for_person(metadata.userinfo_endpoint, session.tokens)
        person = wire.user_of(JSONObject(), told, issuer=metadata.issuer)
        if person.sub != session.user.sub:
            raise BadAnswer("userinfo is about another person than the session")
        return replace(session, user=newer(session.user, person), checked_at=now)


class OAuth2Tokens:
    """Follows `TokenProvider`."""

    def prepare_refresh(self, context: Context, *, now: int) -> Steps[None]:
        yield from metadata_for(context, now=now)

    def refresh(self, context: Context, tokens: TokenSet, *, sub: str, now: int) -> Steps[TokenSet]:
        if tokens.refresh_token is None:
            raise TokenRejected("there is no refresh token")
        metadata = yield from metadata_for(context, now=now)
        reply = yield from ask(CallXWMS(wire.refresh(metadata, tokens.refresh_token)))
        new = wire.read_tokens(reply, asked=tokens.scope, now=now)
        if new.id_token is not None and context.config.openid:
            yield from _check_again(context, metadata, new, new.id_token, sub=sub, now=now)
        # A server that does not rotate sends no new refresh token (RFC 6749 6).
        refresh_token = new.refresh_token or tokens.refresh_token
        return replace(new, refresh_token=refresh_token, id_token=None, sid=tokens.sid, number=tokens.number + 1)

    def revoke_tokens(self, context: Context, tokens: TokenSet, *, now: int) -> Steps[None]:
        return revoke_tokens(context, tokens, now=now)

    def end_session(self, context: Context, session: Session, uri: RedirectURI, target: str, *, now: int) -> Steps[str]:
        tokens = None if session.tokens is None else context.state.refreshed_tokens.newest(session.tokens, now=now)
        try:
            metadata = yield from metadata_for(context, now=now)
        except APIError as error:
            events.warning("not_logged_out_at_the_server", cause=str(error))
            if tokens is not None:
                context.state.pending_revocations.keep(tokens, since=now, now=now)
            return target
        if tokens is not None:
            yield from revoke_tokens(context, tokens, now=now)
        if metadata.end_session_endpoint is None or not context.config.provider_logout:
            return target
        # Not to where this logout asked to go: servers compare the address with the ones that are registered.
        back_to = uri.origin + context.config.after_logout
        return wire.logout_url(metadata.end_session_endpoint, context.config, back_to=back_to)

    def verify_logout_token(self, context: Context, logout_token: str, *, now: int) -> Steps[LogoutTokenClaims]:
        token = parse_signed_jwt(logout_token)
        # Anybody may post here, so junk must not become calls to the server.
        if not context.knows_server(now) and not context.state.logout_tokens.take(now):
            raise TooManyLogins("the budget for asking the server about logout tokens is used up")
        metadata = yield from metadata_for(context, now=now)
        claims = verified_claims(token, (yield from keys_for(context, metadata, token, now=now)))
        return read_logout_token(claims, issuer=metadata.issuer, client_id=context.config.client_id, now=now)


def _is_plausible(code: str) -> bool:
    return 1 <= len(code) <= MAX_CODE and all(" " <= char <= "~" for char in code)


def _issuer_fault(metadata: Metadata, params: CallbackParams) -> str | None:
    """RFC 9207 2.4. A code of another server, sent to this one, would give the other one's attacker our tokens."""
    if params.issuer is None:
        return "the callback has no iss, which the server promises" if metadata.names_itself else None
    return None if params.issuer == metadata.issuer else "the callback's iss is another server"


def _ask_for_person(endpoint: str, tokens: TokenSet) -> Steps[JSONObject]:
    return wire.read_person((yield from ask(CallXWMS(wire.ask_for_person(endpoint, tokens.access_token)))))


def _person(
    context: Context, metadata: Metadata, tokens: TokenSet, *, nonce: str, max_age: int | None, now: int
) -> Steps[LoginResult]:
    """Whose tokens these are. With `openid` the ID token says it, and userinfo may only add to it."""
    told = JSONObject()
    if context.config.openid:
        told = yield from _id_claims(context, metadata, tokens, nonce=nonce, max_age=max_age, now=now)
    asked = JSONObject()
    if metadata.userinfo_endpoint is not None:
        asked = yield from _ask_for_person(metadata.userinfo_endpoint, tokens)
        # An access token that was swapped for another person's is found out here (OpenID Connect Core 5.3.2).
        if told and asked.get("sub") != told["sub"]:
            raise TokenRejected("userinfo is about another person than the ID token")
    elif not told:
        raise BadAnswer("without openid a userinfo endpoint is needed, and the server has none")
    user = wire.user_of(told, asked, issuer=metadata.issuer)
    kept = replace(tokens, id_token=None, sid=sid_of(told))
    return LoginResult(user=user, tokens=kept, proved_at=proved_at(told, now=now) if told else None)


def _id_claims(
    context: Context, metadata: Metadata, tokens: TokenSet, *, nonce: str, max_age: int | None, now: int
) -> Steps[JSONObject]:
    """The claims of the ID token, verified and checked."""
    if tokens.id_token is None:
        raise TokenRejected("there is no ID token although openid was asked for")
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


def _check_again(
    context: Context, metadata: Metadata, tokens: TokenSet, id_token: Secret, *, sub: str, now: int
) -> Steps[None]:
    """Whether the ID token that came with a refresh is about the same person."""
    try:
        token, claims = yield from _verified(context, metadata, id_token, now=now)
    except APIError as error:
        # It came straight from the token endpoint and nothing is taken from it. A key that is not to be had at this
        # moment is no reason to lose what the used-up refresh token was given for.
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
    return token, verified_claims(token, (yield from keys_for(context, metadata, token, now=now)))
