"""Faults on demand: which calls of the API go wrong, how, and how often.

Knows: the names of the faults, the endpoints they reach, and how long an answer may be held back.
Must not: know what a spoiled answer looks like (`spoiled.py`), or that there is such a thing as HTTP.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

MAX_HOLD: Final = 120.0
"""Seconds an answer is held back at the most."""

SLOW: Final = 3.0
"""Seconds of `slow` where none are given."""

_API: Final = (
    "info",
    "sign-token",
    "sign-token-verify",
    "global/countries",
    "global/projects",
    "get/user/info",
    "get/user/address",
    "user/address",
)
_OAUTH: Final = ("oauth/token", "oauth/revoke", "oauth/introspect", "oauth/userinfo")
_DOCUMENTS: Final = ("oauth/jwks", ".well-known/openid-configuration", ".well-known/oauth-authorization-server")

ENDPOINTS: Final = (*_API, *_OAUTH, *_DOCUMENTS)
"""The calls that can be made to fail: the paths below /api/, and those of OAuth."""

FAULTS: Final[Mapping[str, str]] = {
    "slow": f"The answer comes after {SLOW:g} seconds, or as many as are given (slow=10).",
    "timeout": f"No answer comes; after {MAX_HOLD:g} seconds the connection is closed.",
    "drip": "The answer comes byte by byte and does not end.",
    "500": "The server breaks after it has done its work.",
    "503": "The server says that it is down, and does nothing.",
    "html": "A web page comes instead of JSON, with status 200.",
    "truncated": "The connection is closed in the middle of the answer.",
    "huge": "The answer is 100 MiB long.",
    "gzip-bomb": "The answer is compressed, though nobody asked for it: 100 KB that become 100 MiB.",
    "redirect": "The call is redirected (307) to an address that does not exist, and not carried out.",
    "wrong-envelope": "The answer is JSON, but not in the envelope that XWMS documents.",
    "no-sub": "The answer describes a person, but does not say who it is.",
    "duplicate-keys": "The answer has a key twice, so that one reader takes it for a success and another for an error.",
    "expired-token": "The token is refused as if it had expired, and is not spent.",
    "disabled-client": "The call is refused as if the client were disabled.",
    "wrong-clock": "Every time in the answer is one hour behind.",
}
"""What each fault does, in a sentence for people."""

NOT_PERFORMED: Final = frozenset({"503", "redirect", "expired-token", "disabled-client"})
"""The faults that strike before the call is performed. All others strike afterwards: a token is spent, for instance,
and its answer never arrives. That is the worse of the two cases, and the one that an application has to survive."""

# A fault that is not here reaches every endpoint.
_REACHES_ONLY: Final[Mapping[str, frozenset[str]]] = {
    "expired-token": frozenset({"sign-token-verify", "oauth/token", "oauth/userinfo"}),
    "no-sub": frozenset({"sign-token-verify", "get/user/info", "oauth/introspect", "oauth/userinfo"}),
    "wrong-envelope": frozenset(_API),
    "disabled-client": frozenset({*_API, *_OAUTH}) - {"info", "global/projects", "oauth/userinfo"},
}
_EVERY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and where. Raises ValueError for what can never happen, with a sentence that says why.

    name: a key of `FAULTS`.
    endpoint: one of `ENDPOINTS`; None is every call that the fault can reach.
    times: how many calls it strikes, at least 1; None is until it is cleared.
    seconds: how late the answer of `slow` comes, above 0 and up to `MAX_HOLD`; None is `SLOW`.
    `str(fault)` is what `parse_fault` reads.
    """

    name: str
    endpoint: str | None = None
    times: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        _require_known(self.name)
        if self.endpoint is not None and self.endpoint not in ENDPOINTS:
            raise ValueError(f"There is no endpoint {self.endpoint!r}. The endpoints are {', '.join(ENDPOINTS)}.")
        if self.endpoint is not None and not self.reaches(self.endpoint):
            only = ", ".join(endpoint for endpoint in ENDPOINTS if _has_meaning(self.name, endpoint))
            raise ValueError(f"{self.name} has no meaning for {self.endpoint}, only for {only}.")
        if self.times is not None and self.times < 1:
            raise ValueError(f"A fault strikes once or more often, not {self.times} times.")
        if self.seconds is not None and self.name != "slow":
            raise ValueError(f"Only slow has seconds, not {self.name}.")
        if self.seconds is not None and not 0 < self.seconds <= MAX_HOLD:
            raise ValueError(f"An answer is slow by more than 0 and at most {MAX_HOLD:g} seconds.")

    @property
    def performed(self) -> bool:
        """Whether the call is carried out all the same."""
        return self.name not in NOT_PERFORMED

    @property
    def delay(self) -> float:
        """Seconds that `slow` waits."""
        return SLOW if self.seconds is None else self.seconds

    def reaches(self, endpoint: str) -> bool:
        """Whether it can strike a call of that endpoint."""
        return self.endpoint in {None, endpoint} and _has_meaning(self.name, endpoint)

    def __str__(self) -> str:
        name = self.name if self.seconds is None else f"{self.name}={self.seconds!r}"
        if self.times is not None:
            return f"{name}:{self.endpoint or _EVERY}:{self.times}"
        return name if self.endpoint is None else f"{name}:{self.endpoint}"


def parse_fault(text: str) -> Fault:
    """Read `NAME`, `NAME:ENDPOINT` or `NAME:ENDPOINT:TIMES`, with `*` for every endpoint, and `slow=SECONDS` for slow.

    `500:sign-token`, `html:sign-token-verify:2`, `slow=10:*:1`. Raises ValueError with a sentence that says what may
    stand there.
    """
    named, *rest = text.strip().split(":")
    name, equals, seconds = named.partition("=")
    _require_known(name)
    if len(rest) > 2:
        raise ValueError(f"A fault is written NAME:ENDPOINT:TIMES, unlike {text!r}.")
    endpoint = rest[0] if rest else _EVERY
    return Fault(
        name=name,
        endpoint=None if endpoint == _EVERY else endpoint,
        times=_whole(rest[1]) if len(rest) == 2 else None,
        seconds=_number(seconds) if equals else None,
    )


class Faults:
    """The faults of one sandbox, and the clock by which its answers are held back. Safe to share between threads.

    Faults with `times` strike first, in the order in which they were added: a sequence can be rehearsed.
    After them the one that was added last strikes, until it is cleared.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[Fault] = []
        self._closed = threading.Event()

    def add(self, fault: Fault) -> None:
        """Let it strike from the next call on. One until cleared replaces its like of the same name and endpoint."""
        with self._lock:
            if fault.times is None:
                self._active = [
                    other
                    for other in self._active
                    if other.times is not None or (other.name, other.endpoint) != (fault.name, fault.endpoint)
                ]
            self._active.append(fault)

    def clear(self, name: str | None = None, *, endpoint: str | None = None) -> None:
        """End every fault, or those of that name, or those that were added for that endpoint, or only both.

        Answers that are being held back stay so. Raises ValueError for a name that no fault has.
        """
        if name is not None:
            _require_known(name)
        with self._lock:
            self._active = [
                fault
                for fault in self._active
                if (name is not None and fault.name != name) or (endpoint is not None and fault.endpoint != endpoint)
            ]

    def active(self) -> tuple[Fault, ...]:
        """The faults that will strike, in the order in which they were added, each with the times it has left."""
        with self._lock:
            return tuple(self._active)

    def take(self, endpoint: str) -> Fault | None:
        """The fault that strikes this call of an endpoint; counts it."""
        with self._lock:
            reaching = [fault for fault in self._active if fault.reaches(endpoint)]
            counted = next((fault for fault in reaching if fault.times is not None), None)
            if counted is None or counted.times is None:
                return reaching[-1] if reaching else None
            at = self._active.index(counted)
            self._active[at : at + 1] = [replace(counted, times=counted.times - 1)] if counted.times > 1 else []
            return counted

    def wait(self, seconds: float) -> bool:
        """Wait that long; True, and at once, when `close` was called."""
        return self._closed.wait(seconds)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """End every answer that is held back, now and later. Call it before the server stops."""
        self._closed.set()


def _has_meaning(name: str, endpoint: str) -> bool:
    only = _REACHES_ONLY.get(name)
    return only is None or endpoint in only


def _require_known(name: str) -> None:
    if name not in FAULTS:
        raise ValueError(f"There is no fault {name!r}. The faults are {', '.join(FAULTS)}.")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"How often a fault strikes is a whole number, not {text!r}.")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"How slow an answer is, is a number of seconds, not {text!r}.") from None
