"""What an application can tell of its login to a health check."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol, runtime_checkable

from .dataclass import dataclass

Circuit = Literal["closed", "half_open", "open"]
"""The state of a circuit breaker, the best first."""

CIRCUITS: tuple[Circuit, ...] = ("closed", "half_open", "open")

HEALTH_SECONDS = 2.0
"""Seconds that the store has to answer a health check. Probes of orchestrators often wait no longer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of a login, as this process sees it. XWMS is not called for it."""

    store_reachable: bool
    """Whether the session store has answered in time. The cookie store without a revocation store always does."""

    circuit: Circuit
    """Of the circuit breaker for calls to XWMS: `open` after several outages in a row, when calls fail at once;
    `half_open` once one may try again."""

    last_success: datetime | None
    """When XWMS last answered a call of this process with a status below 500, in UTC; None if it has not yet."""

    @property
    def ok(self) -> bool:
        """Whether this process can serve people who are signed in. An outage of XWMS stops new logins only."""
        return self.store_reachable

    def as_dict(self) -> dict[str, object]:
        """The same for JSON, with the time in ISO 8601."""
        at = self.last_success
        return {
            "ok": self.ok,
            "store_reachable": self.store_reachable,
            "circuit": self.circuit,
            "last_success": None if at is None else at.isoformat(timespec="seconds"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What a transport knows of XWMS. `last_success` is in seconds since 1970."""

    circuit: Circuit = "closed"
    last_success: float | None = None


@runtime_checkable
class KnowsUpstream(Protocol):
    """A transport that remembers how its calls ended. Optional."""

    def upstream(self) -> Upstream:
        """Without any I/O."""
        ...


def worst_of(circuits: Iterable[Circuit]) -> Circuit:
    """The worst of several states; `closed` if there are none."""
    worst: Circuit = "closed"
    for circuit in circuits:
        worst = circuit if CIRCUITS.index(circuit) > CIRCUITS.index(worst) else worst
    return worst


def health_of(upstreams: Sequence[Upstream], *, store_reachable: bool) -> Health:
    """The health of one or several clients: the worst of each."""
    times = [one.last_success for one in upstreams]
    oldest = min((at for at in times if at is not None), default=None)
    return Health(
        store_reachable=store_reachable,
        circuit=worst_of(one.circuit for one in upstreams),
        last_success=None if oldest is None or None in times else datetime.fromtimestamp(oldest, UTC),
    )
