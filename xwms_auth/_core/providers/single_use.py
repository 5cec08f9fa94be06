"""Names that one caller gets, for all processes that share a store: what has happened to a login, and to a token.

Two rules keep one person's login from becoming another's, in any number of processes. Only redeeming takes names: a
pending login is used once, a token has one try, and only a call that never left gives them back. And nothing under way
stops a spending: what marks a token as foreign is a name of its own, which nobody waits for.

Knows: the names, and how long each matters.
Must not: hold a token in clear.
"""

from collections.abc import Sequence
from enum import Enum

from ..base.effects import Steps, claim, claimed, release
from ..base.errors import StoreUnavailable
from ..base.lifetimes import FUTURE_TOLERANCE
from ..base.signing import digest
from .pending_login import PendingLogin

TOKEN_MEMORY = 3600
"""Seconds that is remembered what became of a token: longer than XWMS can be expected to let a person take."""

FOR_GOOD = 10 * 365 * 86_400
"""Seconds. What is learned about XWMS is not forgotten."""

MAX_REFUSED = 3
"""Tokens that XWMS may refuse before the pending login is over to which they only might have belonged."""

SAME_TOKEN = "learned/same"
"""Claimed once XWMS has confirmed a callback's token that was exactly `sign-token`'s."""


def token_claim(kind: str, token: str) -> str:
    """The name of something that is known about a token.

    `issued`: sign-token gave it for a login. `token`: somebody had the one try to redeem it. `foreign`: it was issued,
    and came to a browser it does not belong to. `confirmed`: XWMS said whose it was.
    """
    return f"{kind}/{digest(token)}"


def remember(name: str, *, seconds: int = TOKEN_MEMORY, now: int) -> Steps[bool]:
    """Claim a name that says something; True if nobody had said it before."""
    return claim(name, until=now + seconds, now=now)


def are_claimed(*names: str, now: int) -> Steps[Sequence[bool]]:
    """Whether each name has been claimed."""
    found = yield from claimed(names, now=now)
    if found is not None:
        return found
    answers: list[bool] = []
    for name in names:
        free = yield from claim(name, until=now + 1, now=now)
        if free:
            yield from release(name)
        answers.append(not free)
    return answers


def is_learned(name: str, *, now: int) -> Steps[bool]:
    """The same for what must never be taken for true by mistake: a store that cannot tell says no."""
    found = yield from claimed((name,), now=now)
    return found is not None and found[0]


class Taken(Enum):
    """What was taken already when a callback came to be redeemed."""

    PAIR = "this login with this credential: the callback is a copy of one that came before"
    LOGIN = "the login, with another credential"
    CREDENTIAL = "the credential, with another login or in another browser"


class RedeemAttempt:
    """One try to redeem a credential with a pending login: the names that it takes, and when it gives them back."""

    def __init__(self, login: PendingLogin, credential: str, *, now: int) -> None:
        self._login_id = login.id
        # Another machine's clock may be behind: there the login still counts for a moment.
        self._until = login.expires_at + FUTURE_TOLERANCE
        self._now = now
        self._credential = token_claim("token", credential)
        # First the two together, which tells a copy from somebody else's try; then in the order of their scarcity.
        self._wanted = (
            (Taken.PAIR, f"pair/{digest(f'{login.id} {credential}')}", self._until),
            (Taken.LOGIN, f"login/{login.id}", self._until),
            (Taken.CREDENTIAL, self._credential, now + TOKEN_MEMORY),
        )
        self._held: list[str] = []

    def begin(self) -> Steps[Taken | None]:
        """Take all names: None. Or say which is taken, and hold none."""
        for what, name, until in self._wanted:
            try:
                free = yield from claim(name, until=until, now=self._now)
            except StoreUnavailable:
                # Nothing has left, so reloading the page may work in a moment.
                yield from self.give_back()
                raise
            if not free:
                yield from self.give_back()
                return what
            self._held.append(name)
        return None

    def give_back(self) -> Steps[None]:
        """The credential never left: everything is as it was."""
        while self._held:
            yield from release(self._held.pop())

    def give_login_back(self) -> Steps[None]:
        """The login is as it was, but the credential has had its try."""
        self._held.remove(self._credential)
        yield from self.give_back()

    def survives(self) -> Steps[bool]:
        """Whether the login may have one more credential that XWMS refused."""
        for number in range(1, MAX_REFUSED):
            if (yield from claim(f"refused/{self._login_id}/{number}", until=self._until, now=self._now)):
                return True
        return False
