"""The state of one request: its session, and the response if access is denied. Shared by WSGI and ASGI."""

from abc import abstractmethod
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from ..base.errors import ConfigError, LoginRequired, XWMSError
from ..base.login_requirement import ANY_LOGIN, LoginRequirement
from ..base.models import Anonymous, User, anonymous
from ..base.output_only import in_debug_mode
from ..base.session import Session
from ..http.messages import MAX_SESSION_COOKIE, Request
from ..responses import access_denied
from ..responses.responses import Refusal
from ..sessions.lookup import NO_SESSION, SessionLookup
from .served_app import ServedApp

_ATTRIBUTES = 300
"""Bytes of the header that sets a session cookie beside its value, with what a renewal may add to that."""

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
        return access_denied.unless_signed_in(
            config, self._look, self.request, roles=self.known_roles, requirement=requirement, now=now
        )

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


def _in_debug_mode() -> bool:
    request_state = current_request_state.get(None)
    return request_state is not None and not request_state.finished and request_state.request().debug


in_debug_mode.append(_in_debug_mode)
