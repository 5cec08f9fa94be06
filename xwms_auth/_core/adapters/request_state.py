"""What is known about one request, whatever the server speaks: who is signed in, and what to answer instead of a page.

Knows: the lookup of the session's cookie, and the answers that depend on it.
Must not: touch WSGI or ASGI.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from ..base.errors import XWMSError
from ..base.lifetimes import ANY_LOGIN, LoginRequirement
from ..base.models import EndReason, Session
from ..http.messages import Request, Response
from ..responses import access_control
from ..sessions.lookup import NO_SESSION, SessionLookup
from .served_app import ServedApp

L = TypeVar("L", bound=SessionLookup | XWMSError | None)
"""The lookup of the session: None only where it is made on first use."""


class RequestState(ABC, Generic[L]):
    """The half that WSGI and ASGI share."""

    __slots__ = ("lookup", "served")

    served: ServedApp
    lookup: L
    """What the session's cookie says, or why nobody could be asked; None before somebody asked."""

    @abstractmethod
    def session(self) -> Session | None:
        """The session, which the response depends on from now on. Raises `StoreUnavailable` if it cannot be known."""

    @abstractmethod
    def request(self) -> Request:
        """The request as our responses need it, without a body."""

    def session_or_reason(self) -> tuple[Session | None, EndReason | None]:
        """The session, or why there no longer is one."""
        session = self.session()
        return session, self._known().ended

    def refusal(self, requirement: LoginRequirement = ANY_LOGIN) -> Response | None:
        """What to answer instead of a page that needs a person: None if there is one, with a login as required."""
        config, now = self.served.context.config, self.served.now()
        return access_control.unless_signed_in(
            config, self.session_or_reason, self.request, requirement=requirement, now=now
        )

    def response_to(self, error: XWMSError) -> Response:
        """What to answer for an application that did not catch our own error."""
        known, config, now = self._known(), self.served.context.config, self.served.now()
        return access_control.for_failure(
            config, self.request(), error, session=known.session, ended=known.ended, now=now
        )

    def _known(self) -> SessionLookup:
        return self.lookup if isinstance(self.lookup, SessionLookup) else NO_SESSION
