"""Maps XWMS's error responses to exceptions, and redacts their messages for the log.

Neither the status codes nor the texts of XWMS's errors are documented, so both are only hints. A sentence is about what
it names first: "The token is not for this domain" is about the token, "The domain is not active" about the domain.

Messages leave this module redacted only. A token that XWMS rejects is never reported as a configuration error.
"""

import re

from ..base.errors import (
    APIError,
    BadAnswer,
    ClientDisabled,
    ClientUnknown,
    CredentialsRejected,
    NotApproved,
    NotFound,
    RedirectNotRegistered,
    RequestRejected,
    TokenRejected,
)

_MAX_MESSAGE = 1000
_MAX_WORDS = 30
# The words of an XWMS message that may appear in a log. Any other could be a token, a secret or a person's name: "may"
# is missing because May is a name.
_WORDS = frozenset(
    """
    a action active address allowed already an and answers api application approval approved are at be been body by
    calls city client code content country create credential credentials delete deleted disabled does domain enabled
    error exist expired field for found had has header headers host house https id in inactive incorrect invalid ip is
    it json known linked list live local login longer match method missing mode must needs no not number object of on
    only or own permission postal provided redirect registered request required restricted revoked scope secret server
    something street string sub test that the this to token too type unknown update uri url used user useraddresses
    userinfo valid was went whole with withdrawn wrong x xwms you your
    """.split()
)

_SUBJECT = (  # compiled when XWMS first refuses something
    r"""
    (?P<request>  # about the form of the request, or about XWMS itself
        maintenance | \broute\b | \bhttps\b | \bblocked\b | too\ many | rate\ limit | \bmethod\b )
  | (?P<redirect>
        redirect | live\ domain\ needs )
  | (?P<unknown_client>
        client\b (?: (?!secret) [^.] )* (?: not\ known | unknown | not\ found | (?:not|no\ longer)\ exist | deleted )
      | (?: unknown | no\ such )\ client\b (?! .?secret) )
  | (?P<credentials>
        (?:inactive|disabled|expired|revoked)\ (?:client\ )?(?:secret|domain|credential)
      | credential | client.?secret | the\ secret | domain | x-client | server\ ip
      | client.?id\b (?! .* (?:disabled|inactive|not\ active)) )
  | (?P<token>
        # XWMS never checks credentials against a token, so a sentence about both is about the credentials.
        (?<! sign-)token (?! .* (?:secret|credential|x-client|client\ (?:is|was|has\ been)\ (?:disabled|inactive))) )
  | (?P<person>  # one disabled user does not mean that the client is disabled
        \b (?:user|person|account|address|street) \b [^.]* (?:disabled|inactive|not\ active) )
  | (?P<disabled>
        disabled | inactive | not\ active )
  | (?P<approval>
        scope | approv | consent | revoked | withdrawn | withdrew )
  | (?P<lookup>
        \b (?:address|user|person|sub) \b (?= .* (?:not\ known|unknown|not\ found|not\ exist|no\ longer\ exist))
      | (?:unknown|no\ such)\ (?:address|user|person) )
    """
)
_EVERY_CALL: dict[str, type[APIError]] = {
    "redirect": RedirectNotRegistered,
    "unknown_client": ClientUnknown,
    "credentials": CredentialsRejected,
    "disabled": ClientDisabled,
}
# Keyed by the default error of the call: when a login begins nobody has approved anything yet (BadAnswer), only the end
# of a login sends a token (TokenRejected), and only calls about a person look something up (RequestRejected).
_SUBJECTS: dict[type[APIError], dict[str, type[APIError]]] = {
    BadAnswer: _EVERY_CALL,
    TokenRejected: {**_EVERY_CALL, "token": TokenRejected, "approval": NotApproved},
    RequestRejected: {**_EVERY_CALL, "request": RequestRejected, "approval": NotApproved, "lookup": NotFound},
}
_STATUSES: dict[type[APIError], dict[int, type[APIError]]] = {
    BadAnswer: {401: CredentialsRejected, 403: CredentialsRejected},
    TokenRejected: {},
    # 403: a withdrawn approval is common, while a client without access would have failed before, for every user.
    RequestRejected: {401: CredentialsRejected, 403: NotApproved, 404: NotFound},
}


def refusal(status: int, message: object, default: type[APIError]) -> APIError:
    """Return the error for an error response. `default` is its class if neither message nor status is specific."""
    text = message[:_MAX_MESSAGE].lower() if isinstance(message, str) else ""
    error = _from_message(text, default, invalid=status == 422) or _STATUSES[default].get(status, default)
    return error(f"XWMS answered {status}: {redact(message)}", upstream_status=status)


def _from_message(text: str, default: type[APIError], *, invalid: bool) -> type[APIError] | None:
    errors = _SUBJECTS[default]
    for found in re.finditer(_SUBJECT, text, re.VERBOSE):
        error = errors.get(found.lastgroup or "")
        # 422 is about the submitted data. In an address that may be anything ("the domain of the e-mail address ..."),
        # and of our own parameters it can only be the redirect URI.
        if error is not None and not (default is RequestRejected and invalid and error is not RedirectNotRegistered):
            return error
    return None


def redact(message: object) -> str:
    """Return an XWMS message as one line for the log, without words that could be a token, a secret or a name."""
    if not isinstance(message, str):
        return "no message"
    words = message[:_MAX_MESSAGE].replace("-", " ").split()[:_MAX_WORDS]
    known = [word if word.strip(".,:;!?\"'()").lower() in _WORDS else "…" for word in words]
    return " ".join(known) or "no message"
