"""A login request: what the start of a login, the callback and the confirmation have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ..base import events
from ..base.effects import Steps
from ..base.errors import XWMSError
from ..config.context import Context, names_for
from ..http.messages import Request, Response
from ..http.next_url import safe_next
from ..http.urls import RedirectURI
from ..providers.pending_login import PendingLogin, PendingLogins
from ..providers.protocol import LoginResult, Provider
from ..responses import responses
from ..sessions.lookup import SessionLookup, begin_session, look_up


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """A browser's request with its pending logins. `now` is in seconds since 1970."""

    context: Context
    provider: Provider
    request: Request
    uri: RedirectURI
    logins: PendingLogins
    now: int

    @classmethod
    def of(cls, context: Context, provider: Provider, request: Request, *, now: int) -> Self:
        """Read the pending logins. Raises `HostNotRegistered`."""
        uri = context.require_redirect_uri(request)
        sealer = context.login_sealer
        logins = PendingLogins.of(request.cookie, names=names_for(uri), sealer=sealer, uri=uri, now=now)
        return cls(context=context, provider=provider, request=request, uri=uri, logins=logins, now=now)

    def look_up(self) -> Steps[SessionLookup]:
        """Look up the session that this browser already has."""
        return look_up(self.context, self.request.cookie, self.uri, now=self.now)

    def target_of(self, login: PendingLogin) -> str:
        """Where to redirect after the login.

        Open redirect: validated again on use. The value was sealed, but perhaps by an older version with other rules.
        """
        config = self.context.config
        return safe_next(login.next, own_paths=config.own_paths) or config.after_login

    def retry_url(self, login: PendingLogin) -> str:
        """The URL that starts another login with the same target."""
        return responses.login_url(self.context.config, self.target_of(login))

    def sign_in(self, login: PendingLogin, result: LoginResult) -> Steps[Response]:
        """Begin a session under a new key (session fixation), and redirect to the target of the login."""
        self.logins.discard(login)
        cookies = yield from begin_session(self.context, self.request, self.uri, result, now=self.now)
        person = events.person_hash(result.user.identity)
        events.info("login_finished", login=login.id[:8], person=person, **result.log_fields)
        return self.redirect(self.target_of(login), cookies=cookies)

    def redirect(self, location: str, *, status: int = 303, cookies: Sequence[str] = ()) -> Response:
        """A redirect that also updates the pending-login cookies."""
        return responses.redirect(status, location, cookies=[*self.logins.changes(), *cookies])

    def refuse(self, error: XWMSError, *, url: str | None = None) -> Response:
        """An error response that also updates the pending-login cookies. `url` is where to start again."""
        config = self.context.config
        url = url or config.login_path
        return responses.refusal(config, self.request, error, cookies=self.logins.changes(), url=url)
