"""The exceptions of this package, each with a stable code.

XWMSError                        code                     status
├── ConfigError                  config                   500    the settings are wrong; raised at start
├── APIError                                                     a call to XWMS failed
│   ├── Unreachable              xwms_unreachable         503    no connection, or XWMS reports that it is down
│   ├── Timeout                  xwms_timeout             504    no complete response within the deadline
│   ├── BadAnswer                xwms_bad_answer          502    a response that is not as documented
│   ├── CredentialsRejected      credentials_rejected     500    client id, secret or domain refused
│   │   └── ClientUnknown        credentials_rejected     500    the client does not exist, or no longer
│   ├── RedirectNotRegistered    redirect_not_registered  500    the redirect URI is not in the dashboard's list
│   ├── ClientDisabled           client_disabled          503    the client is disabled
│   ├── TokenRejected            token_rejected           401    used, expired, unknown, or of another login
│   ├── NotApproved              not_approved             403    the person has not approved this, or withdrew it
│   ├── RequestRejected          request_rejected         500    XWMS considers the request invalid
│   └── NotFound                 not_found                404    no such address or person
├── StoreUnavailable             store_unavailable        503    the session store is down
├── ClockSkew                    clock_skew               503    two machines disagree about the time
├── InternalError                internal_error           500    an error that is not one of these
└── RequestRefused                                               the fault is in the browser's request
    ├── LoginRequired            login_required           401
    │   └── LoginTooOld          login_too_old            401    the page requires a more recent login
    ├── NotAllowed               not_allowed              403    the application does not allow this person
    ├── LoginNotStarted          login_not_started        400
    ├── LoginExpired             login_expired            400
    ├── TokenMissing             token_missing            400
    ├── TokenMalformed           token_malformed          400
    ├── TooManyLogins            too_many_logins          429
    │   └── TooManyLoginsFromAddress  too_many_logins_from_address  429
    ├── CrossSite                cross_site               403
    ├── NotANavigation           not_a_navigation         400    a script or a prefetch requested a page
    ├── HostNotRegistered        host_not_registered      400
    ├── MethodNotAllowed         method_not_allowed       405
    └── TooManyTokens            too_many_tokens          429    too many unknown access tokens: rate limit

Those of `bearer_errors.py` and of `accounts/errors.py` are below `RequestRefused` too.

No exception holds a secret, a token, a request or text of XWMS's: `cause` is our own text, for the log."""

from collections.abc import Sequence
from typing import ClassVar


class XWMSError(Exception):
    """The base class. `cause` is for the log, `title` and `detail` are for the user, `code` is for programs.

    `retry_after` is in whole seconds, for responses with a `Retry-After` header.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    detail: ClassVar[str] = "Please try again."
    retry_after: int | None = None

    def __init__(self, cause: str = "") -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.code}: {self.cause}" if self.cause else self.code

    def is_behind(self, error: BaseException) -> bool:
        """Whether `error` is this error, was raised because of it or while it was handled, or is a group with it."""
        waiting: list[BaseException | None] = [error]
        seen: set[int] = set()
        while waiting:
            one = waiting.pop()
            if one is self:
                return True
            if one is not None and id(one) not in seen:
                seen.add(id(one))
                waiting += (one.__cause__, one.__context__)
                waiting += getattr(one, "exceptions", ())  # of a group
        return False


class ConfigError(XWMSError):
    """The settings are wrong. `problems` has one sentence for each mistake, which says how to fix it."""

    code = "config"
    title = "Login is not set up"
    detail = "Login is not available right now."

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))

    def __str__(self) -> str:
        return "the settings are wrong:" + "".join(f"\n  - {problem}" for problem in self.problems)


class APIError(XWMSError):
    """A call to XWMS failed.

    `sent` is True if XWMS may have received the request: a single-use token must then not be sent again.
    `upstream_status` is the HTTP status that XWMS returned, or None if there was no response. `retry_after`, if given,
    replaces the seconds of the class.
    """

    title = "Login is not available"
    detail = "Login with XWMS is not available right now. Please try again in a moment."

    def __init__(
        self, cause: str = "", *, sent: bool = True, upstream_status: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(cause)
        self.sent = sent
        self.upstream_status = upstream_status
        self.retry_after = self.retry_after if retry_after is None else retry_after


class Unreachable(APIError):
    """XWMS could not be connected to, or reports that it is down or busy."""

    code = "xwms_unreachable"
    status = 503
    retry_after = 10


class Timeout(APIError):
    """XWMS did not respond completely within the deadline."""

    code = "xwms_timeout"
    status = 504
    retry_after = 10
    detail = "XWMS took too long to answer. Please start again in a moment."


class BadAnswer(APIError):
    """The response of XWMS is not as documented."""

    code = "xwms_bad_answer"
    status = 502


class CredentialsRejected(APIError):
    """XWMS refuses the client id, the client secret or the domain."""

    code = "credentials_rejected"
    detail = "Login is not set up correctly on this site. Please tell the people who run it."


class ClientUnknown(CredentialsRejected):
    """XWMS has no client with this id: the id is wrong, or the client was deleted."""


class RedirectNotRegistered(APIError):
    """XWMS refuses the redirect URI: it is not in the client's list in the dashboard."""

    code = "redirect_not_registered"
    detail = CredentialsRejected.detail


class ClientDisabled(APIError):
    """The client is disabled at XWMS."""

    code = "client_disabled"
    status = 503
    detail = "Login with XWMS is not available right now."


class TokenRejected(APIError):
    """XWMS rejected the token, or the token belongs to another login.

    Used, expired and unknown tokens give the same response, so that nobody can probe which it was.
    """

    code = "token_rejected"
    status = 401
    title = "This login can no longer be used"
    detail = "A login link works once and only for a short time. Please start again."


class NotApproved(APIError):
    """The person has not approved this, or withdrew the approval, or the client does not have the scope for it.

    Approvals can be withdrawn at any time, so expect this: go on without the data, or ask the person again.
    """

    code = "not_approved"
    status = 403
    title = "This has not been approved"
    detail = "This site may not use this data from XWMS. You can approve it when you log in with XWMS again."


class RequestRejected(APIError):
    """XWMS considers the request invalid, for instance an address without a street."""

    code = "request_rejected"
    title = "XWMS did not accept this"
    detail = "XWMS did not accept what this site sent. Please tell the people who run it."


class NotFound(APIError):
    """XWMS has no such address or person."""

    code = "not_found"
    status = 404
    title = "Not found at XWMS"
    detail = "XWMS does not have what this site asked for. It may have been deleted."


class StoreUnavailable(XWMSError):
    """The session store is down. This never counts as signed out."""

    code = "store_unavailable"
    status = 503
    title = "Please try again in a moment"
    detail = "Your login could not be checked right now. You have not been signed out."
    retry_after = 5


class ClockSkew(XWMSError):
    """A login is from the future here, also when it is new: the clocks of two machines differ by over a minute."""

    code = "clock_skew"
    status = 503
    title = "Please try again in a moment"
    detail = "The clocks of two of this site's machines differ, so your login cannot be used here yet."
    retry_after = 60


class InternalError(XWMSError):
    """An error of Python, of a library or of an application's own store. `cause` has its type and place."""

    code = "internal_error"
    detail = "Login is not available right now. The people who run this site find the reason in its log."


class RequestRefused(XWMSError):
    """The request itself cannot be served."""

    status = 400


class LoginRequired(RequestRefused):
    """The page requires a login, and nobody is signed in."""

    code = "login_required"
    status = 401
    title = "Please log in"
    detail = "You need to be logged in to see this."


class LoginTooOld(LoginRequired):
    """Somebody is signed in, but the page requires a more recent login. The session continues."""

    code = "login_too_old"
    title = "Please log in again"
    detail = "This page requires a recent login. You are still logged in everywhere else."


class NotAllowed(RequestRefused):
    """Somebody is signed in whom the application does not allow this: by role, e-mail address or domain."""

    code = "not_allowed"
    status = 403
    title = "You may not see this page"
    detail = "You are signed in, but your account does not have access to this page."


class LoginNotStarted(RequestRefused):
    """Login CSRF, or a late callback: this browser did not start the login, or started it too long ago."""

    code = "login_not_started"
    title = "This login did not start here"
    detail = "The login was not started in this browser, or it was started too long ago. Please start again."


class LoginExpired(RequestRefused):
    """The pending login has expired."""

    code = "login_expired"
    title = "The login took too long"
    detail = "Too much time passed before you came back. Please start again."


class TokenMissing(RequestRefused):
    """The callback has no token: the person cancelled the login, or opened the address by hand."""

    code = "token_missing"
    title = "You are not logged in"
    detail = "XWMS did not confirm a login. If you cancelled it, nothing has changed."


class TokenMalformed(RequestRefused):
    """The callback has several tokens, or one that XWMS cannot have issued."""

    code = "token_malformed"
    title = "This login link is damaged"
    detail = "The link that brought you here is not complete. Please start again."


class TooManyLogins(RequestRefused):
    """Rate limit: more logins are being started than this process allows."""

    code = "too_many_logins"
    status = 429
    title = "Too many people are logging in"
    detail = "Please wait a few seconds and try again."
    retry_after = 5


class TooManyLoginsFromAddress(TooManyLogins):
    """Rate limit: more logins are being started from one address than one may start."""

    code = "too_many_logins_from_address"
    title = "Too many logins from your network"


class CrossSite(RequestRefused):
    """A cross-site request to an address that accepts only requests from this site."""

    code = "cross_site"
    status = 403
    title = "This request does not come from this site"
    detail = "For your safety this can only be done from this site itself. Please go back to it and try again."


class NotANavigation(RequestRefused):
    """A script, an image, a frame or a prefetch requested a page that only a navigation may open."""

    code = "not_a_navigation"
    title = "Open this page in the browser"
    detail = (
        "This address belongs to a login and has to be opened as a page. "
        "If you see this in a window of your browser, a part of this website that works in the background (a service "
        "worker) has fetched the page. Hold the Shift key while you reload it, and the browser opens it itself."
    )


class HostNotRegistered(RequestRefused):
    """Several redirect URIs are configured and none of them is on the requested host."""

    code = "host_not_registered"
    title = "Login is not set up for this address"
    detail = "Please use this site's usual address to log in."


class MethodNotAllowed(RequestRefused):
    """The path is one of ours, but does not support the method. `allow` is the value of the `Allow` header."""

    code = "method_not_allowed"
    status = 405
    title = "This page cannot be used this way"
    detail = "This address only works from a button on the site. Please go back to it."

    def __init__(self, allow: str) -> None:
        super().__init__(f"only {allow}")
        self.allow = allow


class TooManyTokens(RequestRefused):
    """Rate limit: more unknown access tokens arrive than this process asks XWMS about."""

    code = "too_many_tokens"
    status = 429
    title = "Too many requests"
    detail = "Please wait a few seconds and try again."
    retry_after = 2
