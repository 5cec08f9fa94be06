"""Single-use names in the store: what has happened to a login and to a token, for all processes that share the store.

Login CSRF and replay: two rules keep one person's login from becoming another's, in any number of processes. First,
only redeeming claims the names of a pending login and of a credential: a login is used once, a token is tried once, and
both are released only if the call was never sent. Second, nothing in progress prevents a token from being invalidated:
the name that records it as foreign is a separate one, which nobody waits for.

No name contains a token in clear text.
"""

from collections.abc import Sequence
from enum import Enum

from ..base.effects import Steps, claim, claimed, release
from ..base.errors import StoreUnavailable
from ..base.lifetimes import FUTURE_TOLERANCE
from ..base.signing import digest
from .pending_login import PendingLogin

TOKEN_MEMORY = 3600
"""Seconds that the state of a token is remembered: longer than XWMS can be expected to let a person take."""

PERMANENT = 10 * 365 * 86_400
"""Seconds (ten years). What is learned about XWMS is not forgotten."""

MAX_REJECTED = 3
"""Tokens that XWMS may reject before a pending login ends which they did not match exactly."""

SAME_TOKEN = "learned/same"
"""Claimed when XWMS has confirmed a callback token that was exactly the one from `sign-token`."""


def token_claim(kind: str, token: str) -> str:
    """The name that records a fact about a token.

    `issued`: sign-token issued it for a login. `token`: the one try to redeem it was taken. `foreign`: it was issued,
    and came to a browser it does not belong to. `confirmed`: XWMS confirmed whose it was.
    """
    return f"{kind}/{digest(token)}"


def remember(name: str, *, seconds: int = TOKEN_MEMORY, now: int) -> Steps[bool]:
    """Claim a name that records a fact; True if it was not recorded before."""
    return claim(name, until=now + seconds, now=now)


def are_claimed(*names: str, now: int) -> Steps[Sequence[bool]]:
    """Whether each name has been claimed."""
    found = yield from claimed(names, now=now)
    if found is not None:
        return found
    results: list[bool] = []
    for name in names:
        free = yield from claim(name, until=now + 1, now=now)
        if free:
            yield from release(name)
        results.append(not free)
    return results


def is_learned(name: str, *, now: int) -> Steps[bool]:
    """Whether a name has been claimed, for a fact never to be assumed by mistake: False if the store cannot tell."""
    found = yield from claimed((name,), now=now)
    return found is not None and found[0]


class Taken(Enum):
    """What had been claimed already when a callback was to be redeemed."""

    PAIR = "this login with this credential: the callback is a copy of one that came before"
    LOGIN = "the login, with another credential"
    CREDENTIAL = "the credential, with another login or in another browser"


class RedeemAttempt:
    """One attempt to redeem a credential with a pending login: the names it claims, and when it releases them."""

    def __init__(self, login: PendingLogin, credential: str, *, now: int) -> None:
        self._login_id = login.id
        # Another machine's clock may be behind, so that the login is valid there a little longer.
        self._until = login.expires_at + FUTURE_TOLERANCE
        self._now = now
        self._credential = token_claim("token", credential)
        # The pair first: it distinguishes a copy of a callback from somebody else's attempt. Then the scarcest first.
        self._names = (
            (Taken.PAIR, f"pair/{digest(f'{login.id} {credential}')}", self._until),
            (Taken.LOGIN, f"login/{login.id}", self._until),
            (Taken.CREDENTIAL, self._credential, now + TOKEN_MEMORY),
        )
        self._claimed: list[str] = []

    def begin(self) -> Steps[Taken | None]:
        """Claim all names and return None; or return the one that is taken, and claim none."""
        for kind, name, until in self._names:
            try:
                free = yield from claim(name, until=until, now=self._now)
            except StoreUnavailable:
                # The credential has not been sent, so reloading the page may work in a moment.
                yield from self.release_all()
                raise
            if not free:
                yield from self.release_all()
                return kind
            self._claimed.append(name)
        return None

    def release_all(self) -> Steps[None]:
        """Release all names: the credential was never sent."""
        while self._claimed:
            yield from release(self._claimed.pop())

    def release_login(self) -> Steps[None]:
        """Release the login, but not the credential, whose one try is over."""
        self._claimed.remove(self._credential)
        yield from self.release_all()

    def count_rejection(self) -> Steps[bool]:
        """Count a credential that XWMS rejected; True if the login may still be used with another one."""
        for number in range(1, MAX_REJECTED):
            if (yield from claim(f"refused/{self._login_id}/{number}", until=self._until, now=self._now)):
                return True
        return False
