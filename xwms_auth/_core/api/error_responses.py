"""Which error an XWMS that says no means, and what of its words may go into a log.

Neither the codes nor the texts of XWMS's refusals are documented, so both are only hints. A sentence is about what it
names first: "The token is not for this domain" is about the token, "The domain is not active" about the domain.

Knows: the words XWMS uses.
Must not: let them out except redacted, and must not make a fault of ours of a token that XWMS rejects.
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
# What a message of XWMS's may say in a log. Any other word could be a token, a secret or a person: "may" is missing
# because it is a name.
_WORDS = frozenset(
    """
    a active address allowed already an and api approved are at been by calls city client code country credential
    credentials deleted disabled does domain enabled error exist expired field for found had has header headers host
    house https id in inactive incorrect invalid ip is it known linked list live login longer match method missing mode
    must needs no not number of on or permission postal provided redirect registered request required restricted revoked
    scope secret server street string sub test that the this to token too unknown uri url used user useraddresses
    userinfo valid was with wrong x xwms you your
    """.split()
)

_SUBJECT = re.compile(
    r"""
    (?P<way>  # about how it was asked, or about XWMS itself
        maintenance | \broute\b | \bhttps\b | \bblocked\b | too\ many | rate\ limit | \bmethod\b )
  | (?P<redirect>
        redirect | live\ domain\ needs )
  | (?P<no_client>
        client\b (?: (?!secret) [^.] )* (?: not\ known | unknown | not\ found | (?:not|no\ longer)\ exist | deleted )
      | (?: unknown | no\ such )\ client\b (?! .?secret) )
  | (?P<credentials>
        (?:inactive|disabled|expired|revoked)\ (?:client\ )?(?:secret|domain|credential)
      | credential | client.?secret | the\ secret | domain | x-client | server\ ip
      | client.?id\b (?! .* (?:disabled|inactive|not\ active)) )
  | (?P<token>
        # Credentials are never checked against a token, so a sentence about both is about the credentials.
        (?<! sign-)token (?! .* (?:secret|credential|x-client|client\ (?:is|was|has\ been)\ (?:disabled|inactive))) )
  | (?P<somebody>  # one person who is switched off is no outage of the client
        \b (?:user|person|account|address|street) \b [^.]* (?:disabled|inactive|not\ active) )
  | (?P<switched_off>
        disabled | inactive | not\ active )
  | (?P<approval>
        scope | approv | consent | revoked | withdrawn | withdrew )
  | (?P<lookup>
        \b (?:address|user|person|sub) \b (?= .* (?:not\ known|unknown|not\ found|not\ exist|no\ longer\ exist))
      | (?:unknown|no\ such)\ (?:address|user|person) )
    """,
    re.VERBOSE,
)
_EVERY_CALL: dict[str, type[APIError]] = {
    "redirect": RedirectNotRegistered,
    "no_client": ClientUnknown,
    "credentials": CredentialsRejected,
    "switched_off": ClientDisabled,
}
# By what it means when XWMS says no more than no: nobody has approved anything yet when a login begins, only a login
# brings a token, and only calls about somebody look something up.
_SUBJECTS: dict[type[APIError], dict[str, type[APIError]]] = {
    BadAnswer: _EVERY_CALL,
    TokenRejected: {**_EVERY_CALL, "token": TokenRejected, "approval": NotApproved},
    RequestRejected: {**_EVERY_CALL, "way": RequestRejected, "approval": NotApproved, "lookup": NotFound},
}
_STATUSES: dict[type[APIError], dict[int, type[APIError]]] = {
    BadAnswer: {401: CredentialsRejected, 403: CredentialsRejected},
    TokenRejected: {},
    # An approval that was withdrawn is everyday life; a client that may not call has been seen by everybody before.
    RequestRejected: {401: CredentialsRejected, 403: NotApproved, 404: NotFound},
}


def refusal(status: int, message: object, plain: type[APIError]) -> APIError:
    """The error for an answer that says no. `plain` is what it means if the words and the status tell nothing."""
    said = message[:_MAX_MESSAGE].lower() if isinstance(message, str) else ""
    error = _by_words(said, plain, invalid=status == 422) or _STATUSES[plain].get(status, plain)
    return error(f"XWMS answered {status}: {redact(message)}", upstream_status=status)


def _by_words(said: str, plain: type[APIError], *, invalid: bool) -> type[APIError] | None:
    meanings = _SUBJECTS[plain]
    for found in _SUBJECT.finditer(said):
        error = meanings.get(found.lastgroup or "")
        # 422 is about what was sent. In an address that may be anything ("the domain of the e-mail address ..."), and
        # of ours it can only be the redirect URI.
        if error is not None and not (plain is RequestRejected and invalid and error is not RedirectNotRegistered):
            return error
    return None


def redact(message: object) -> str:
    """Make a message of XWMS's fit for a log: one line of words that cannot be a token, a secret or a person."""
    if not isinstance(message, str):
        return "no message"
    words = message[:_MAX_MESSAGE].replace("-", " ").split()[:_MAX_WORDS]
    known = [word if word.strip(".,:;!?\"'()").lower() in _WORDS else "…" for word in words]
    return " ".join(known) or "no message"
