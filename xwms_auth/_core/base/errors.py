"""Everything that can go wrong, each with a stable code.

XWMSError                        code                     status
├── ConfigError                  config                   500    the settings are wrong; raised at start
├── APIError                                                     XWMS was asked and did not give what was asked for
│   ├── Unreachable              xwms_unreachable         503    no connection, or XWMS says it is down
│   ├── Timeout                  xwms_timeout             504    no whole answer within the deadline
│   ├── BadAnswer                xwms_bad_answer          502    an answer that is not the documented one
│   ├── CredentialsRejected      credentials_rejected     500    client id, secret or domain refused
│   │   └── ClientUnknown        credentials_rejected     500    there is no such client, or no longer
│   ├── RedirectNotRegistered    redirect_not_registered  500    the dashboard lacks our redirect URI
│   ├── ClientDisabled           client_disabled          503    the client is switched off
│   ├── TokenRejected            token_rejected           401    used, expired, unknown, or of another login
│   ├── NotApproved              not_approved             403    the person has not approved this, or withdrew it
│   ├── RequestRejected          request_rejected         500    what was asked for is not valid
│   └── NotFound                 not_found                404    no such address or person
├── StoreUnavailable             store_unavailable        503    the session store is down
└── RequestRefused                                               the browser's request is at fault
    ├── LoginRequired            login_required           401
    │   └── LoginTooOld          login_too_old            401    the page asks for a fresher login
    ├── LoginNotStarted          login_not_started        400
    ├── LoginExpired             login_expired            400
    ├── TokenMissing             token_missing            400
    ├── TokenMalformed           token_malformed          400
    ├── TooManyLogins            too_many_logins          429
    ├── CrossSite                cross_site               403
    ├── NotANavigation           not_a_navigation         400    a script or a prefetch asked for a page
    ├── HostNotRegistered        host_not_registered      400
    ├── MethodNotAllowed         method_not_allowed       405
    ├── TooManyTokens            too_many_tokens          429    more unknown access tokens than XWMS is asked about
    └── BearerRefused                                            an API call without a good access token
        ├── TokenRequired        token_required           401
        ├── InvalidBearerRequest invalid_bearer_request   400
        ├── InvalidToken         invalid_token            401    expired, revoked, or not meant for this API
        └── InsufficientScope    insufficient_scope       403

Knows: codes, statuses and the sentence a person may read.
Must not: hold a secret, a token, a request, or anything XWMS wrote; `cause` is our own words, for the log.
"""

from collections.abc import Sequence
from typing import ClassVar


class XWMSError(Exception):
    """The root. `cause` is for the log; `title` and `detail` are for the person; `code` is for programs.

    `retry_after` is in whole seconds, for answers that carry `Retry-After`.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    detail: ClassVar[str] = "Please try again."
    retry_after: ClassVar[int | None] = None

    def __init__(self, cause: str = "") -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.code}: {self.cause}" if self.cause else self.code


class ConfigError(XWMSError):
    """The settings are wrong. `problems` has one sentence per fault, each saying how to mend it."""

    code = "config"
    title = "Login is not set up"
    detail = "Login is not available right now."

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))

    def __str__(self) -> str:
        return "".join(f"\n  - {problem}" for problem in self.problems)


class APIError(XWMSError):
    """A call to XWMS failed.

    `sent` tells whether XWMS may have seen the request: when it may have, a single-use token must not be tried again.
    `upstream_status` is XWMS's HTTP status, if there was one.
    """

    title = "Login is not available"
    detail = "Login with XWMS is not available right now. Please try again in a moment."

    def __init__(self, cause: str = "", *, sent: bool = True, upstream_status: int | None = None) -> None:
        super().__init__(cause)
        self.sent = sent
        self.upstream_status = upstream_status


class Unreachable(APIError):
    """No connection to XWMS, or XWMS says that it is down or busy."""

    code = "xwms_unreachable"
    status = 503
    retry_after = 10


class Timeout(APIError):
    """XWMS did not give a whole answer within the deadline."""

    code = "xwms_timeout"
    status = 504
    retry_after = 10
    detail = "XWMS took too long to answer. Please start again in a moment."


class BadAnswer(APIError):
    """XWMS answered, but not with what its documentation describes."""

    code = "xwms_bad_answer"
    status = 502


class CredentialsRejected(APIError):
    """XWMS refuses the client id, the client secret or the domain."""

    code = "credentials_rejected"
    detail = "The login of this site is not set up correctly. Please tell the people who run it."


class ClientUnknown(CredentialsRejected):
    """XWMS knows no client of this id: the id is wrong, or the client was deleted."""


class RedirectNotRegistered(APIError):
    """XWMS refuses the redirect URI: it is not in the client's list in the dashboard."""

    code = "redirect_not_registered"
    detail = CredentialsRejected.detail


class ClientDisabled(APIError):
    """The client is switched off at XWMS."""

    code = "client_disabled"
    status = 503
    detail = "Login with XWMS is not available right now."


class TokenRejected(APIError):
    """XWMS says no to the token, or the token belongs to another login.

    One answer for used, expired and unknown, so that nobody can probe which it was.
    """

    code = "token_rejected"
    status = 401
    title = "This login can no longer be used"
    detail = "A login link works once and only for a short time. Please start again."


class NotApproved(APIError):
    """The person has not approved this, or withdrew the approval; or the client does not have the scope for it.

    Approvals can be withdrawn at any time, so this is ordinary: go on without the data, or ask the person again.
    """

    code = "not_approved"
    status = 403
    title = "This has not been approved"
    detail = "This site may not use these data of yours at XWMS. You can approve it when you log in with XWMS again."


class RequestRejected(APIError):
    """XWMS refuses what was asked for as not valid, for instance an address without a street."""

    code = "request_rejected"
    title = "XWMS did not accept this"
    detail = "XWMS did not accept what this site sent. Please tell the people who run it."


class NotFound(APIError):
    """XWMS knows no such address or person."""

    code = "not_found"
    status = 404
    title = "This is not at XWMS"
    detail = "XWMS does not have what was asked for. It may have been deleted."


class StoreUnavailable(XWMSError):
    """The session store is down. Never treated as signed out."""

    code = "store_unavailable"
    status = 503
    title = "Please try again in a moment"
    detail = "Your login could not be looked up just now. You have not been signed out."
    retry_after = 5


class RequestRefused(XWMSError):
    """The request itself cannot be served."""

    status = 400


class LoginRequired(RequestRefused):
    """The page needs a person, and nobody is signed in."""

    code = "login_required"
    status = 401
    title = "Please log in"
    detail = "You need to be logged in to see this."


class LoginTooOld(LoginRequired):
    """Somebody is signed in, but the page needs a login that is not that long ago. The session goes on."""

    code = "login_too_old"
    title = "Please log in once more"
    detail = "For this page you need to have logged in a short while ago. You are still logged in everywhere else."


class LoginNotStarted(RequestRefused):
    """The callback arrived in a browser that did not start this login, or long after it did."""

    code = "login_not_started"
    title = "This login did not start here"
    detail = "The login was not started in this browser, or it was started too long ago. Please start again."


class LoginExpired(RequestRefused):
    """The pending login is older than it may be."""

    code = "login_expired"
    title = "The login took too long"
    detail = "Too much time passed before you came back. Please start again."


class TokenMissing(RequestRefused):
    """The callback has no token: somebody cancelled, or opened the address by hand."""

    code = "token_missing"
    title = "You are not logged in"
    detail = "XWMS did not confirm a login. If you cancelled it, nothing has changed."


class TokenMalformed(RequestRefused):
    """The callback has several tokens, or one that XWMS can never have issued."""

    code = "token_malformed"
    title = "This login link is damaged"
    detail = "The link that brought you here is not complete. Please start again."


class TooManyLogins(RequestRefused):
    """More logins are being started than this process lets through."""

    code = "too_many_logins"
    status = 429
    title = "Too many people are logging in"
    detail = "Please wait a few seconds and try again."
    retry_after = 5


class CrossSite(RequestRefused):
    """A request from another site that may not come from one."""

    code = "cross_site"
    status = 403
    title = "This request does not come from this site"
    detail = "For your safety this can only be done from this site itself. Please go back to it and try again."


class NotANavigation(RequestRefused):
    """A script, an image, a frame or a prefetch asked for a page that only a person may open."""

    code = "not_a_navigation"
    title = "Open this page in the browser"
    detail = "This address starts a login and has to be opened as a page."


class HostNotRegistered(RequestRefused):
    """Several redirect URIs are configured and none is on the host that was asked for."""

    code = "host_not_registered"
    title = "Login is not set up for this address"
    detail = "Please use this site's usual address to log in."


class MethodNotAllowed(RequestRefused):
    """The path is ours, the method is not. `allow` is what the answer's `Allow` header says."""

    code = "method_not_allowed"
    status = 405
    title = "This page cannot be used like that"
    detail = "This address only works from a button on the site. Please go back to it."

    def __init__(self, allow: str) -> None:
        super().__init__(f"only {allow}")
        self.allow = allow


class TooManyTokens(RequestRefused):
    """More access tokens that nobody has seen before are brought than this process asks XWMS about."""

    code = "too_many_tokens"
    status = 429
    title = "Too many requests"
    detail = "Please wait a few seconds and try again."
    retry_after = 2


class BearerRefused(RequestRefused):
    """An API call without a good access token. `error` is the code of RFC 6750 3.1 for it, if it has one."""

    error: ClassVar[str | None] = None


class TokenRequired(BearerRefused):
    """The API call brings no access token."""

    code = "token_required"
    status = 401
    title = "An access token is needed"
    detail = "Send an access token in the header Authorization: Bearer."


class InvalidBearerRequest(BearerRefused):
    """The header of the API call has several tokens, or none that could be one."""

    code = "invalid_bearer_request"
    error = "invalid_request"
    title = "The access token is not sent as it should be"
    detail = "Send one header Authorization: Bearer, with one access token."


class InvalidToken(BearerRefused):
    """The access token is unknown, expired, revoked, or not meant for this API: one answer for all of them."""

    code = "invalid_token"
    status = 401
    error = "invalid_token"
    title = "The access token cannot be used"
    detail = "The access token is unknown, expired, revoked or not meant for this API. Get another one."


class InsufficientScope(BearerRefused):
    """The access token is good, and does not allow this."""

    code = "insufficient_scope"
    status = 403
    error = "insufficient_scope"
    title = "The access token does not allow this"
    detail = "The access token has not been granted the scope that this needs."
