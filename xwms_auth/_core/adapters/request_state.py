"""The state of one request: its session, and the response if access is denied. Shared by WSGI and ASGI."""

from abc import abstractmethod
from contextvars import ContextVar
from functools import partial
from typing import Any, Generic, TypeVar, cast

from ..accounts.application import Application, ask_application, refresh, tell_of
from ..accounts.linker import Linker
from ..base.effects import Steps
from ..base.errors import ConfigError, LoginRequired, NotAllowed, XWMSError
from ..base.models import Anonymous, Identity, User, anonymous
from ..base.output_only import in_debug_mode
from ..base.session import Session
from ..http.login_params import NO_PARAMS
from ..http.messages import MAX_SESSION_COOKIE, Request
from ..responses import access_denied
from ..responses.login_link import login_query
from ..responses.login_requirement import ANY_LOGIN, LoginRequirement
from ..responses.responses import Refusal
from ..sessions.lookup import NO_SESSION, SessionLookup
from ..sessions.revalidation import refresh_profile
from ..sessions.revocation import end_here
from .application import Call
from .served_app import ServedApp

_ATTRIBUTES = 300
"""Bytes of the header that sets a session cookie beside its value, with what a renewal may add to that."""

A = TypeVar("A")
L = TypeVar("L", bound=SessionLookup | XWMSError | None)
"""The lookup of the session: None only where it is made on first use."""


class RequestState(Generic[L]):
    """The part of the state that WSGI and ASGI share.

    Not an `ABC`: every guard asks whether an object is one of these, and `isinstance` of an ABC takes four times as
    long.
    """

    # The defaults are here and not in `__init__`: one is made for every request, and few of them change.
    served: ServedApp
    finished = False
    """Whether the request has ended. What outlives it must not keep acting as its user."""

    guarded = False
    """Whether a guard has let the request through: its response is then never public."""

    passive = False
    """Whether the request is no sign of an active person, and so does not renew the session."""

    _began_at: float
    """When the request came in, in seconds since 1970."""

    lookup: L
    """The result of looking up the session cookie, or the error that prevented it; None before the lookup.

    A nested application of the same client may replace it by one without a session.
    """

    roles: frozenset[str] | None = None
    """The person's roles in the application, once they are known."""

    account: Any = None
    """The account of the person, once it was loaded."""

    account_session: object = None
    """The session of the database in which it was loaded."""

    has_request_session = False
    """Whether the application's code runs in the thread of the request."""

    refused: Refusal | None = None
    """If it is set inside the application, it is sent in place of the application's response."""

    _failure: XWMSError | None = None
    """The last of our errors that the application may not catch."""

    @abstractmethod
    def session(self) -> Session | None:
        """Return the session, and note that the response depends on it. Raises `StoreUnavailable` if it is unknown."""

    @abstractmethod
    def known_roles(self) -> frozenset[str]:
        """Return the roles of the person who is signed in. Raises `ConfigError` if the application has none."""

    @abstractmethod
    def request(self) -> Request:
        """Return the request without its body, for building a response."""

    @abstractmethod
    def vary_by_language(self) -> None:
        """Note that the response depends on `Accept-Language`. Most responses do not, and cost nothing for it."""

    def user(self) -> User | Anonymous:
        """Return the user, or an anonymous one."""
        session = self.session()
        return session.user if session is not None else anonymous(self._found().ended)

    def require_user(self) -> User:
        """Return the user, or raise the error of a refusal, which is then sent."""
        found = self.user_or_refusal()
        if isinstance(found, Refusal):
            raise self.refuse(found)
        return found

    def refuse(self, refused: Refusal) -> XWMSError:
        """Return the error to raise. Whatever the application makes of it, the refusal is sent."""
        self.refused, self._failure = refused, refused.error
        return refused.error

    def _refuse_for(self, failure: XWMSError) -> None:
        """Send a refusal for an error of ours that the application did not catch, if none is due already."""
        if self.refused is None:
            self.refused = self.refusal_for(failure)

    def user_or_refusal(self, requirement: LoginRequirement = ANY_LOGIN) -> User | Refusal:
        """Return the user if one is signed in and meets the requirement, otherwise the refusal to send instead."""
        refused = self.refusal(requirement)
        if refused is not None:
            return refused
        session = self.session()
        return session.user if session else self.refusal_for(LoginRequired("there is no session"))

    def refusal(self, requirement: LoginRequirement = ANY_LOGIN) -> Refusal | None:
        """Return None if a user is signed in and meets the requirement, otherwise the refusal to send instead."""
        context = self.served.context
        self.guarded = True
        if context.missing:
            self.session()  # the response depends on it, although there is none
            return self.refusal_for(context.fault())
        if requirement is ANY_LOGIN:
            try:
                if self.session() is not None:
                    return None
            except XWMSError:  # not `suppress`, which takes longer than the rest; the refusal is made below
                pass
        config, now = context.config, self.served.now()
        params = requirement.params
        query = tuple if params is NO_PARAMS else partial(login_query, context, params)
        return access_denied.unless_signed_in(
            config, self._look, self.request, roles=self.known_roles, requirement=requirement, query=query, now=now
        )

    def linker_of(self, linker: Linker[A] | None) -> Linker[A]:
        """Return the linker. Raises `ConfigError` if there is none, or if the application was set up with another."""
        known = self.served.parts.linker
        if known is None:
            fault = "there are no accounts: pass linker= to XWMSAuth or XWMSAuthMiddleware"
        elif linker is not None and linker is not known:
            fault = "this linker is not the one that the application was set up with (linker=)"
        else:
            return known
        self._failure = ConfigError([fault])
        raise self._failure

    def account_steps(
        self, linker: Linker[A], identity: Identity, session: object, *, call: Call, cookie: str
    ) -> Steps[A | Refusal]:
        """Load the person's account, once. One that is blocked or gone ends the session; the result is the refusal.

        `cookie` is the raw Cookie header. `call` calls a function of the application.
        """
        # Again in another session of the database: what is changed in a row of the first would not be saved by it.
        is_elsewhere = session is not None and session is not self.account_session
        if self.account is None or is_elsewhere:
            # Outside of worker threads, a registry of the application's has the session of this request.
            if session is None and self.has_request_session and (registry := getattr(linker, "request_session", None)):
                session = registry
            self.account_session = session
            load = linker.load if session is None else partial(linker.load, session=session)
            try:
                self.account = yield from ask_application(lambda: call(load, (identity,)))
                if self.account is None:
                    raise LoginRequired("there is no account with this identity any more")
            except (NotAllowed, LoginRequired) as error:
                return (yield from self._end_without_account(error, cookie))
            except XWMSError as error:
                return self.refusal_for(error)
        return cast("A", self.account)

    def profile_steps(self, application: Application, cookie: str) -> Steps[User | Refusal]:
        """Ask XWMS about the person, for the session and for their account. The result may be the refusal to send."""
        served = self.served
        try:
            self.session()
            known, now = self.dated(self._found()), served.now()
            found = yield from refresh_profile(served.context, served.provider, known, cookie, now=now)
            self.lookup = cast("L", found)
            user = cast("Session", found.session).user
            linker = application.linker
            linked = None if linker is None else (yield from refresh(application, linker, user))
            if linked is not None:
                self.account = None  # to be loaded again
                yield from tell_of(application, linked, user)
        except NotAllowed as error:
            return (yield from self._end_without_account(error, cookie))
        except XWMSError as error:
            self._failure = error
            raise
        return user

    def _end_without_account(self, error: XWMSError, cookie: str) -> Steps[Refusal]:
        context = self.served.context
        try:
            found, deletion = yield from end_here(context, self._found(), cookie, now=self.served.now())
        except XWMSError as failure:
            return self.refusal_for(failure)
        self.lookup = cast("L", found)
        return access_denied.without_account(context.config, self.request(), error, found=found, cookie=deletion)

    def _look(self) -> SessionLookup:
        self.session()
        return self._found()

    def dated(self, found: SessionLookup) -> SessionLookup:
        """The lookup, as of this request: one that is noted with its cookie is of the request that noted it."""
        return found._replace(at=int(self._began_at))

    def reserved(self) -> int:
        """Bytes that a response of ours leaves for the cookie of a session that may be renewed with it."""
        found = self._found()
        if found.session is None or found.handle is None:
            return 0
        return MAX_SESSION_COOKIE if found.has_new_tokens else min(MAX_SESSION_COOKIE, len(found.handle) + _ATTRIBUTES)

    def refusal_for(self, error: XWMSError) -> Refusal:
        """Return the refusal for one of our errors that the application did not catch."""
        context, now = self.served.context, self.served.now()
        if context.missing and isinstance(error, LoginRequired | ConfigError):
            error = context.fault()  # a login would be refused, and what else is missing does not matter
        return access_denied.for_failure(context.config, self.request(), error, found=self._found(), now=now)

    def _found(self) -> SessionLookup:
        return self.lookup if isinstance(self.lookup, SessionLookup) else NO_SESSION


current_request_state: ContextVar[RequestState[Any]] = ContextVar("xwms_auth_request_state")
"""The state of the current request. Flask has a context of its own."""


def current_session_id() -> str | None:
    """The id of the session of the current request, or None outside a request or if nobody is signed in."""
    state = current_request_state.get(None)
    session = None if state is None or state.finished else state.session()
    return session.id if session else None


def _in_debug_mode() -> bool:
    request_state = current_request_state.get(None)
    return request_state is not None and not request_state.finished and request_state.request().debug


in_debug_mode.append(_in_debug_mode)
