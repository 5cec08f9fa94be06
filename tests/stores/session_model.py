"""When a session counts: the whole of what is promised, in plain Python, for one client in several processes.

Where a store may differ from the others, a property of `Kind` says so:
- without a revocation store, a cookie's logout is known to the process that it happened in, until that one restarts;
- with one, another process goes on for `BELIEVED` seconds with what it heard last, and a revocation is a time of the
  clock: it does not end a session that began later by a clock which was set back since;
- what is in a cookie has limits of its own;
- the memory store seals nothing, so no key can be taken from it;
- Redis forgets by a clock of its own.

Knows: arithmetic.
Must not: import the package.
"""

from dataclasses import dataclass, field

IDLE, LIFETIME, RENEWAL = 1000, 5000, 50
REMEMBERED = 86_400  # for so long people are told why what has ended by itself did
AHEAD = 60  # a clock may be wrong by so much
BELIEVED = 10  # a process goes on with what the revocation store said
PROCESSES = 2
FORGOTTEN = "forgotten"  # not signed in, and no reason is told
REASONS = ("session_idle", "session_lifetime", "session_revoked", "session_key_rotated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A store, and where it may differ from the others."""

    store: str
    edge: str = "flask"
    revocations: bool = False
    """Whether there is a revocation store beside the cookie."""

    @property
    def in_cookie(self) -> bool:
        """Each renewal makes another cookie; there is no list."""
        return self.store == "cookie"

    @property
    def sealed(self) -> bool:
        """Whether a key that is taken away makes sessions unreadable."""
        return self.store != "memory"

    @property
    def reaches(self) -> bool:
        """Whether a session can be ended from elsewhere."""
        return not self.in_cookie or self.revocations

    @property
    def forgets(self) -> bool:
        """Whether a session is forgotten by the clock that a test moves."""
        return self.store in ("memory", "sqlite")


@dataclass(slots=True)
class Login:
    """One session. Server stores keep one state of it; `ended` is the reason, or FORGOTTEN after a logout.

    `renewals` says for each process until when it does not renew the session again.
    """

    sub: str
    started_at: int
    counts_from: int
    seen_at: int
    key: int
    ended: str | None = None
    ended_in: set[int] = field(default_factory=set)
    """Of the cookie store: the processes that know of the logout by themselves."""
    not_before: int = 0
    """And the time up to which the revocation store says that it is over."""
    heard: dict[int, int] = field(default_factory=dict)
    """And when each process heard from there that it is not."""
    renewals: list[int] = field(default_factory=lambda: [0] * PROCESSES)


@dataclass(slots=True)
class Cookie:
    """A cookie that was given out. In the cookie store it has its own age and key."""

    login: Login
    seen_at: int
    key: int


class Model:
    """Who a cookie is for, at this time, in this process."""

    def __init__(self, kind: Kind, now: int) -> None:
        self.kind = kind
        self.now = self.latest = now
        self.keys = [0]
        self.cookies: dict[str, Cookie] = {}
        self.logins: list[Login] = []
        self.not_before: dict[str, tuple[int, int]] = {}

    def seen_at(self, cookie: Cookie) -> int:
        return cookie.seen_at if self.kind.in_cookie else cookie.login.seen_at

    def readable(self, cookie: Cookie) -> bool:
        key = cookie.key if self.kind.in_cookie else cookie.login.key
        return not self.kind.sealed or key in self.keys

    def kept_until(self, login: Login) -> int:
        return min(login.seen_at + IDLE, login.started_at + LIFETIME) + REMEMBERED

    def doubtful(self, cookie: Cookie) -> bool:
        """The clock was already beyond the time up to which something has to be kept, and came back."""
        login = cookie.login
        if self.kind.in_cookie:
            return self.now < login.started_at + LIFETIME <= self.latest
        return self.kind.forgets and self.now < self.kept_until(login) <= self.latest

    def allowed(self, value: str, process: int) -> set[str]:
        """What an application may say: one thing, but for what it may have forgotten meanwhile."""
        cookie = self.cookies[value]
        if self.doubtful(cookie):
            return {f"sub {cookie.login.sub}", FORGOTTEN, *REASONS}
        allowed = {self.who(value, process)}
        if self.kind.in_cookie and self.readable(cookie) and self.now >= cookie.login.started_at + LIFETIME:
            # It has ended in any case, so nobody need remember that it was ended before.
            allowed |= {"session_lifetime", *(["session_revoked"] if self.kind.revocations else [])}
        return allowed

    def who(self, value: str, process: int) -> str:
        """The sub, prefixed with "sub ", or why it is nobody."""
        cookie = self.cookies[value]
        login, seen = cookie.login, self.seen_at(cookie)
        ended = self._ended_of_cookie(cookie, process) if self.kind.in_cookie else self._ended_at_server(login)
        if ended is not None:
            return ended
        if self.now >= min(seen + IDLE, login.started_at + LIFETIME) + REMEMBERED:
            return FORGOTTEN
        if self.now >= login.started_at + LIFETIME:
            return "session_lifetime"
        if self.now >= seen + IDLE:
            return "session_idle"
        if seen > self.now + AHEAD:
            return FORGOTTEN
        return f"sub {login.sub}"

    def _ended_at_server(self, login: Login) -> str | None:
        if self.kind.forgets and self.now >= self.kept_until(login):
            return FORGOTTEN
        if login.ended is not None:
            return login.ended
        return None if not self.kind.sealed or login.key in self.keys else "session_key_rotated"

    def _ended_of_cookie(self, cookie: Cookie, process: int) -> str | None:
        login = cookie.login
        if not self.readable(cookie):
            return "session_key_rotated"
        if process in login.ended_in:
            return FORGOTTEN
        if self.believes(login, process):
            return None
        marks = [self.not_before.get(name, (0, 0)) for name in ("client", f"person {login.sub}")]
        revoked = any(login.counts_from <= at and self.now < until for at, until in marks)
        return "session_revoked" if revoked or self.now < login.not_before else None

    def believes(self, login: Login, process: int) -> bool:
        return not self.kind.revocations or abs(self.now - login.heard.get(process, -BELIEVED)) < BELIEVED

    # What happens.

    def looked_up(self, value: str, process: int) -> None:
        """The process has asked about the session, and where it had to, the revocation store."""
        cookie = self.cookies[value]
        login = cookie.login
        if self._ended_of_cookie(cookie, process) is None and not self.believes(login, process):
            login.heard[process] = self.now

    def began(self, value: str, sub: str) -> None:
        marks = [self.not_before.get(name, (0, 0)) for name in ("client", f"person {sub}")]
        counts_from = max(self.now, *(at + 1 for at, until in marks if self.now < until), self.now)
        login = Login(sub, self.now, counts_from, self.now, self.keys[0])
        self.logins.append(login)
        self.cookies[value] = Cookie(login, self.now, self.keys[0])

    def renewed(self, old: str, value: str, process: int) -> None:
        login = self.cookies[old].login
        login.renewals[process] = self.now + RENEWAL
        login.seen_at, login.key = self.now, self.keys[0]
        self.cookies[value] = Cookie(login, self.now, self.keys[0])

    def dropped(self, value: str, process: int) -> None:
        """By a logout, or because the browser logged in once more."""
        cookie = self.cookies[value]
        login = cookie.login
        if not self.kind.in_cookie:
            login.ended = FORGOTTEN
        elif self.readable(cookie):
            login.ended_in.add(process)
            login.heard.pop(process, None)
            login.not_before = login.started_at + LIFETIME if self.kind.revocations else 0

    def revoked(self, logins: list[Login]) -> None:
        for login in logins:
            over = self.kind.forgets and self.now >= self.kept_until(login)
            if login.ended is None and not over:
                login.ended = "session_revoked"

    def forbidden(self, name: str, process: int) -> None:
        """A time of the clock: a session that began later by it, because the clock went back since, goes on."""
        before, _ = self.not_before.get(name, (0, 0))
        self.not_before[name] = (max(self.now, before + 1), self.now + LIFETIME)
        for login in self.logins:
            login.heard.pop(process, None)

    def restarted(self, process: int) -> None:
        for login in self.logins:
            login.ended_in.discard(process)
            login.heard.pop(process, None)
            login.renewals[process] = 0
