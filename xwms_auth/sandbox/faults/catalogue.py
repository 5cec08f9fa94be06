"""The faults that can be injected: their names, the endpoints that they affect, and how often.

How they change a response is in `injection.py`.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

MAX_HOLD: Final = 120.0
"""The maximum delay of a response, in seconds."""

SLOW: Final = 3.0
"""The default delay of `slow`, in seconds."""

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
    "slow": f"The response is delayed by {SLOW:g} seconds, or by the given number (slow=10).",
    "timeout": f"There is no response; after {MAX_HOLD:g} seconds the connection is closed.",
    "drip": "The response is sent byte by byte and does not end.",
    "500": "The server fails after it has performed the call.",
    "503": "The server responds that it is down, and does not perform the call.",
    "html": "The response is a web page instead of JSON, with status 200.",
    "truncated": "The connection is closed in the middle of the response.",
    "huge": "The response is 100 MiB long.",
    "gzip-bomb": "The response is compressed without being asked for: 100 KB that expand to 100 MiB.",
    "redirect": "The call is redirected (307) to a host that does not exist, and not performed.",
    "wrong-envelope": "The response is JSON, but not in the envelope that XWMS documents.",
    "no-sub": "The response describes a person, but without the sub.",
    "duplicate-keys": "The response has a key twice, so that parsers disagree whether it is a success or an error.",
    "expired-token": "The token is refused as if it had expired, and is not spent.",
    "disabled-client": "The call is refused as if the client were disabled.",
    "wrong-clock": "Every time in the response is one hour behind.",
}
"""What each fault does, in a sentence for people."""

NOT_PERFORMED: Final = frozenset({"503", "redirect", "expired-token", "disabled-client"})
"""The faults that replace the call. All others strike after the call was performed: a token is spent, for instance, and
its response never arrives. That is the worse of the two cases, and the one that an application has to handle."""

# A fault that is not listed here affects every endpoint.
_REACHES_ONLY: Final[Mapping[str, frozenset[str]]] = {
    "expired-token": frozenset({"sign-token-verify", "oauth/token", "oauth/userinfo"}),
    "no-sub": frozenset({"sign-token-verify", "get/user/info", "oauth/introspect", "oauth/userinfo"}),
    "wrong-envelope": frozenset(_API),
    "disabled-client": frozenset({*_API, *_OAUTH}) - {"info", "global/projects", "oauth/userinfo"},
}
_EVERY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault and where it strikes. Raises ValueError for an impossible combination, with the reason.

    name: a key of `FAULTS`.
    endpoint: one of `ENDPOINTS`; None means every endpoint that the fault can affect.
    times: the number of calls that it affects, at least 1; None means until it is cleared.
    seconds: the delay of `slow`, above 0 and up to `MAX_HOLD`; None means `SLOW`.
    `parse_fault` reads `str(fault)`.
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
            raise ValueError(f"A fault strikes at least once, not {self.times} times.")
        if self.seconds is not None and self.name != "slow":
            raise ValueError(f"Only slow has seconds, not {self.name}.")
        if self.seconds is not None and not 0 < self.seconds <= MAX_HOLD:
            raise ValueError(f"The delay of slow must be more than 0 and at most {MAX_HOLD:g} seconds.")

    @property
    def performed(self) -> bool:
        """Whether the call is still performed."""
        return self.name not in NOT_PERFORMED

    @property
    def delay(self) -> float:
        """The delay of `slow`, in seconds."""
        return SLOW if self.seconds is None else self.seconds

    def reaches(self, endpoint: str) -> bool:
        """Whether it can affect a call of this endpoint."""
        return self.endpoint in {None, endpoint} and _has_meaning(self.name, endpoint)

    def __str__(self) -> str:
        name = self.name if self.seconds is None else f"{self.name}={self.seconds!r}"
        if self.times is not None:
            return f"{name}:{self.endpoint or _EVERY}:{self.times}"
        return name if self.endpoint is None else f"{name}:{self.endpoint}"


def parse_fault(text: str) -> Fault:
    """Parse `NAME`, `NAME:ENDPOINT` or `NAME:ENDPOINT:TIMES`, with `*` for every endpoint, and `slow=SECONDS`.

    Examples: `500:sign-token`, `html:sign-token-verify:2`, `slow=10:*:1`. Raises ValueError with a sentence that says
    what is allowed.
    """
    first, *rest = text.strip().split(":")
    name, equals, seconds = first.partition("=")
    _require_known(name)
    if len(rest) > 2:
        raise ValueError(f"The form of a fault is NAME:ENDPOINT:TIMES, not {text!r}.")
    endpoint = rest[0] if rest else _EVERY
    return Fault(
        name=name,
        endpoint=None if endpoint == _EVERY else endpoint,
        times=_parse_times(rest[1]) if len(rest) == 2 else None,
        seconds=_parse_seconds(seconds) if equals else None,
    )


class Faults:
    """The active faults of one sandbox, and the delays of its responses. Thread-safe.

    Faults with `times` strike first, in the order in which they were added, so that a sequence can be tested.
    After them the one that was added last strikes, until it is cleared.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[Fault] = []
        self._closed = threading.Event()

    def add(self, fault: Fault) -> None:
        """Activate it from the next call on. A fault without `times` replaces one of the same name and endpoint."""
        with self._lock:
            if fault.times is None:
                self._active = [
                    other
                    for other in self._active
                    if other.times is not None or (other.name, other.endpoint) != (fault.name, fault.endpoint)
                ]
            self._active.append(fault)

    def clear(self, name: str | None = None, *, endpoint: str | None = None) -> None:
        """Clear every fault, or those with this name, this endpoint, or both.

        Responses that are being delayed stay delayed. Raises ValueError for an unknown name.
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
        """The fault that strikes this call of an endpoint, which is counted."""
        with self._lock:
            reaching = [fault for fault in self._active if fault.reaches(endpoint)]
            counted = next((fault for fault in reaching if fault.times is not None), None)
            if counted is None or counted.times is None:
                return reaching[-1] if reaching else None
            at = self._active.index(counted)
            self._active[at : at + 1] = [replace(counted, times=counted.times - 1)] if counted.times > 1 else []
            return counted

    def wait(self, seconds: float) -> bool:
        """Wait this long. Returns True, without waiting further, when `close` is called."""
        return self._closed.wait(seconds)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """End all delays, now and later. Call it before the server stops."""
        self._closed.set()


def _has_meaning(name: str, endpoint: str) -> bool:
    only = _REACHES_ONLY.get(name)
    return only is None or endpoint in only


def _require_known(name: str) -> None:
    if name not in FAULTS:
        raise ValueError(f"There is no fault {name!r}. The faults are {', '.join(FAULTS)}.")


def _parse_times(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"TIMES must be a whole number, not {text!r}.")
    return int(text)


def _parse_seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"The delay of slow must be a number of seconds, not {text!r}.") from None
