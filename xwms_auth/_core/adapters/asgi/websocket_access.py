"""Whether somebody may still have a websocket open: their session, their account, and what its guards have required."""

from dataclasses import replace
from typing import NamedTuple, TypeVar

from ...accounts.linker import Linker
from ...base.effects import arun
from ...base.errors import LoginRequired, XWMSError
from ...base.models import Identity
from ...base.unexpected import internal_error
from ...responses.login_requirement import ANY_LOGIN, LoginRequirement
from ...responses.responses import Refusal
from ...sessions.lookup import SessionLookup, look_up, renew
from ...sessions.revalidation import look_up_for_page, look_up_nested
from ..roles import AsyncRoles
from ..served_app import ServedApp
from .state import ASGIRequestState

A = TypeVar("A")

LOGIN_NEEDED = 4401
"""The close code of a socket whose session has ended. Codes from 4000 are the applications' own (RFC 6455 7.4.2); this
one is the status of HTTP, plus 4000."""

FORBIDDEN = 4403
"""The close code of a socket whose owner lacks something by now that its guard requires."""


class End(NamedTuple):
    """Code and reason of a close."""

    code: int
    reason: str


class WebSocketAccess(ASGIRequestState):
    """The part of a websocket's state that knows who may have it."""

    _has_account = False
    """Whether an account was asked for. It may have to be loaded again since."""

    _requirements: tuple[tuple[LoginRequirement, AsyncRoles | None], ...] = ()
    """What guards have required, each with the resolver of the application that the guard is in."""

    async def look_up_ahead(self) -> None:
        try:
            self.lookup = await self._found_now()
        except Exception as error:  # noqa: BLE001  raised when the session is read, as for a page
            self.lookup = internal_error(error)

    async def look_up_nested(self, inner: ServedApp) -> None:
        if not isinstance(self.lookup, XWMSError):
            await self.look_up_ahead()

    def refusal(self, requirement: LoginRequirement = ANY_LOGIN) -> Refusal | None:
        refused = super().refusal(requirement)
        if requirement is not ANY_LOGIN:
            # How old the login may be counts for the beginning, as it does for a page that stays open.
            met = replace(requirement, fresh=None), self.resolver
            if met not in self._requirements:
                self._requirements += (met,)
        return refused

    async def why_not(self) -> End | None:
        """Why the socket has to be closed, or None. Raises what the store, the account or the roles raise."""
        self.lookup = found = await self._found_now()
        if found.session is None:
            return End(LOGIN_NEEDED, LoginRequired.code)
        if self._has_account and (refused := await self._account_refusal(found.session.user.identity)):
            return End(LOGIN_NEEDED, refused.code)
        if (refused := await self._requirement_refusal()) is not None:
            return End(FORBIDDEN, _definite(refused).code)
        return None

    async def _requirement_refusal(self) -> Refusal | None:
        asked: dict[int, frozenset[str] | None] = {}
        for requirement, resolver in self._requirements:
            if requirement.roles and id(resolver) not in asked:
                found = await self.ask_for_roles(resolver)
                if isinstance(found, Refusal):
                    return found
                asked[id(resolver)] = found
                if resolver is self.resolver:
                    self.roles = found
            # The application may ask for its own meanwhile, so these are there for this one question.
            kept, self.roles = self.roles, asked.get(id(resolver))
            try:
                refused = super().refusal(requirement)
            finally:
                self.roles = kept
            if refused is not None:
                return refused
        return None

    async def _account_refusal(self, identity: Identity) -> Refusal | None:
        """Why the account that was loaded for this socket must not be used any more, or None."""
        known, self.account = self.account, None
        try:
            loaded: object = await self.load_account(self.linker_of(None), identity, None)
            return _definite(loaded) if isinstance(loaded, Refusal) else None
        except BaseException:
            if self.account is None:
                self.account = known  # so that the next look asks for it again
            raise

    async def load_account(self, linker: Linker[A], identity: Identity, session: object) -> A | Refusal:
        self._has_account = True
        return await super().load_account(linker, identity, session)

    async def _found_now(self) -> SessionLookup:
        served, cookie, uri, now = self.served, self._asked(), self.redirect_uri, self.served.now()
        if served.context.config.session_store == "cookie":
            known = await arun(look_up(served.context, cookie, uri, now=now), served.runtime)
            session = known.session
            if session is not None and session.tokens is not None:
                # No answer could carry new ones to the browser, so only a page asks XWMS about this session.
                is_alive = all(one.context.lifetimes.alive(session, now) for one in self.nested)
                return known if is_alive else known._replace(session=None)
        steps = look_up_for_page(served.context, served.provider, cookie, uri, now=now)
        found = await arun(steps, served.runtime)
        for inner in self.nested:
            nested = look_up_nested(inner.context, inner.provider, found, cookie, now=now)
            found = await arun(nested, inner.runtime_in(served))
        await arun(renew(served.context, found, now=now, is_passive=True), served.runtime)
        return found


def _definite(refused: Refusal) -> Refusal:
    """The same, unless it says that nobody can know. Raises that error."""
    if refused.error.status >= 500:
        raise refused.error
    return refused
