"""Which callback tokens were tried in this process: each gets one try, whatever becomes of it.

Whoever started a login may know the callback's token before anybody has approved it. Without this they could try it
with one pending login after another until the victim approves, or use up the budget for spending with junk and redeem
what the victim's callback could not spend.

Knows: hashes of tokens.
Must not: keep a token in clear, or forget one because of a flood of others.
"""

import threading

from .marks import Marks
from .tokens import digest

MEMORY = 3600
"""Seconds a token is remembered: longer than XWMS can be expected to let a person take."""


class TriedTokens:
    """Remembers tokens by their hash; times are seconds since 1970."""

    def __init__(self) -> None:
        # Tokens that sign-token gave this process, which somebody may know beforehand, are kept apart:
        # junk, which anybody can send as much of as they like, cannot push them out.
        self._issued = Marks()
        self._tried_issued = Marks()
        self._tried = Marks()
        self._contested = Marks()
        self._lock = threading.Lock()

    def issue(self, token: str, *, now: int) -> None:
        """Sign-token gave this token here."""
        self._issued.add(digest(token), until=now + MEMORY, now=now)

    def is_issued(self, token: str) -> bool:
        """Whether sign-token gave this token here."""
        return digest(token) in self._issued

    def use(self, token: str, *, now: int) -> bool:
        """Mark a token as tried; True for the first of all who try it."""
        marks = self._tried_issued if self.is_issued(token) else self._tried
        return marks.add(digest(token), until=now + MEMORY, now=now)

    def is_used(self, token: str) -> bool:
        """Whether the token was tried."""
        return digest(token) in self._tried_issued or digest(token) in self._tried

    def refuse(self, token: str, *, now: int) -> bool:
        """The token came to a browser it does not belong to: mark it, and let no try of it be taken back."""
        with self._lock:
            self._contested.add(digest(token), until=now + MEMORY, now=now)
            return self.use(token, now=now)

    def take_back(self, token: str) -> None:
        """The try did not reach XWMS: the token may be tried once more, unless it was refused somewhere meanwhile."""
        name = digest(token)
        with self._lock:
            if name not in self._contested:
                self._tried_issued.remove(name)
                self._tried.remove(name)
