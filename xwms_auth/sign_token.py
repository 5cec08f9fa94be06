"""XWMS's own login. The callback brings a token, which `sign-token-verify` changes into a person.

The protocol has no `state`, and its redirect URIs match exactly, so nothing can travel along: a token belongs to a
pending login because `sign-token` gave it for that login, or because no other site can have caused the login.

Knows: what a token is worth in which browser.
Must not: let one live that came to a browser it does not belong to.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace

from . import audit, calls
from .browser import require_from_xwms
from .effects import Steps
from .errors import APIError, TokenMalformed, TokenMissing, TokenRejected
from .messages import Request
from .models import Session, newer
from .pending import MAX_LOGINS, PendingLogin, PendingLogins
from .provider import Arrival, CheckedCallback, Departure, Outcome, Started
from .redirects import RedirectURI
from .site import Site
from .token_set import TokenSet
from .tokens import digest
from .wire import is_plausible_token


class SignToken:
    """Follows `Provider`. The proof of a pending login is the SHA-256 of `sign-token`'s token."""

    def confirmation_leads_to(self, site: Site) -> Sequence[str] | None:
        # Another page can open the login in a person's browser, wait for the cookie, and then send that browser to
        # a callback URL of its own login: the person would go on in somebody else's account. Where the token does not
        # tell (callback_token is not `same`), a click on our own page has to.
        return None if site.config.callback_token == "same" else _login_origins(site)

    def start(self, site: Site, uri: RedirectURI, *, fresh: int | None, now: int) -> Steps[Started]:
        ticket = yield from calls.sign_token(site.config, uri.uri)
        site.tried.issue(ticket.token, now=now)
        return Started(url=ticket.url, proof=digest(ticket.token), expires_at=ticket.expires_at)

    def read(self, request: Request) -> Arrival:
        found = request.parameters("token")
        if not found:
            raise TokenMissing("the callback has no token")
        if len(found) > 1 or not is_plausible_token(found[0]):
            raise TokenMalformed(
                "the callback has several tokens" if len(found) > 1 else "the token has an impossible form"
            )
        return Arrival(credential=found[0])

    def owner(self, site: Site, arrival: Arrival, logins: Sequence[PendingLogin]) -> PendingLogin | None:
        token = arrival.credential
        exact = next((login for login in reversed(logins) if _is_of(login, token)), None)
        # What sign-token gave here for another login is not a fresh token, whatever `callback_token` allows.
        if exact is not None or site.config.callback_token == "same" or site.tried.is_issued(token):
            return exact
        # The token is fresh and says nothing; what counts is that no other site can have caused the login.
        # The newest is taken: the protocol has nothing that could tell two tabs apart.
        return next((login for login in reversed(logins) if login.here), None)

    def require_sender(self, site: Site, request: Request, uri: RedirectURI) -> None:
        require_from_xwms(request, uri, api=site.config.api, login_origins=site.config.login_origins)

    def disown(self, site: Site, arrival: Arrival, *, now: int) -> None:
        # Without calling XWMS: a page can make any browser come here as often as it likes.
        site.tried.refuse(arrival.credential, now=now)

    def spend(self, site: Site, uri: RedirectURI, arrival: Arrival, *, now: int) -> Steps[None]:
        # Somebody may have started a login, sent XWMS's address to a victim, and be waiting to redeem the token that
        # the victim's approval has just made good (OAuth Security Advisory 2009.1). So it is redeemed for nobody,
        # within a budget, so that junk here does not become a flood at XWMS.
        token = arrival.credential
        if not site.tried.refuse(token, now=now):
            return
        # One that was issued here is spent in any case: there are no more of them than logins that were started.
        if not site.tried.is_issued(token) and not site.spends.take(now):
            audit.happened("token_not_spent", cause="over budget")
            return
        try:
            yield from calls.verify_token(site.config, token, uri.uri)
            audit.happened("token_spent")
        except APIError as error:
            audit.happened("token_not_spent", cause=error.code)

    def is_over(self, site: Site, arrival: Arrival, login: PendingLogin | None, *, now: int) -> bool:
        if not site.tried.is_used(arrival.credential):
            return False
        if login is None:
            site.tried.refuse(arrival.credential, now=now)
        return True

    def check(
        self,
        site: Site,
        uri: RedirectURI,
        arrival: Arrival,
        login: PendingLogin | None,
        logins: PendingLogins,
        *,
        now: int,
    ) -> Steps[PendingLogin]:
        token = arrival.credential
        if login is not None and _is_of(login, token) and site.config.callback_token == "fresh":
            # Whoever started the login has known this token from the start; the real callback has another.
            logins.discard(login)
            raise TokenRejected("this is sign-token's own token, which is never the callback's (callback_token=fresh)")
        if login is None:
            # Somebody brought a token of another login here; a pending login dies with its first failed attempt. Unless
            # it may be this person's own oldest tab, which had to make room: that one alone is lost then.
            if not (len(logins.alive) == MAX_LOGINS and site.tried.is_issued(token)):
                logins.discard(*logins.alive)
            yield from self.spend(site, uri, arrival, now=now)
            raise TokenRejected("the token belongs to no login that this browser started")
        if not site.tried.use(token, now=now):
            # An old token says nothing about a login that it only might belong to.
            if _is_of(login, token):
                logins.discard(login)
            raise TokenRejected("the token has been tried here before")
        return login

    def finish(self, site: Site, callback: CheckedCallback, *, now: int) -> Steps[Outcome]:
        user = yield from calls.verify_token(site.config, callback.credential, callback.uri.uri)
        # Tells an operator which `callback_token` to set in place of `either`.
        kind = "same" if _is_of(callback.login, callback.credential) else "fresh"
        return Outcome(user=user, told={"callback": kind})

    def confirm(self, site: Site, session: Session, *, now: int) -> Steps[Session]:
        info = yield from calls.user_info(site.config, session.user.sub, socials=False)
        return replace(session, user=newer(session.user, info), checked_at=now)

    def get_ready(self, site: Site, *, now: int) -> Steps[None]:
        yield from ()

    def refresh(self, site: Site, tokens: TokenSet, *, sub: str, now: int) -> Steps[TokenSet]:
        yield from ()
        raise TokenRejected("XWMS's own login has no tokens to refresh")

    def give_back(self, site: Site, tokens: TokenSet, *, now: int) -> Steps[None]:
        yield from ()

    def leave(self, site: Site, session: Session, uri: RedirectURI, target: str, *, now: int) -> Steps[str]:
        yield from ()
        return target

    def departure(self, site: Site, logout_token: str, *, now: int) -> Steps[Departure]:
        yield from ()
        raise TokenRejected("XWMS's own login has no logout tokens")

    def take_back(self, site: Site, callback: CheckedCallback) -> None:
        site.tried.take_back(callback.credential)


def _is_of(login: PendingLogin, token: str) -> bool:
    """Whether this login's `sign-token` gave this very token."""
    return hmac.compare_digest(login.proof, digest(token))


def _login_origins(site: Site) -> tuple[str, ...]:
    """Where XWMS's login page may be: browsers hold the redirect after our form to `form-action` too."""
    config = site.config
    if config.login_origins:
        return tuple(config.login_origins)
    host = config.api.host
    if config.api.loopback:
        return (f"http://{host}:*", f"https://{host}:*")
    port = f":{config.api.port}" if config.api.port else ""
    return (config.api.origin, f"https://*.{host}{port}")
