"""The faults that are injected in this sandbox. They do not belong to an account, so any member may change them."""

from collections.abc import Callable, Mapping
from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.domain.problems import Invalid, Missing, all_valid
from xwms_auth.sandbox.faults.catalogue import ENDPOINTS, FAULTS, NOT_PERFORMED, Fault, parse_fault

_ANY: Final = "slow"  # a fault that every field has a meaning for


def show(visit: Visit) -> Response:
    """The active faults, and the form for a new one."""
    return visit.show(
        "faults.html",
        faults=FAULTS,
        kinds={
            "After the call was performed": [name for name in FAULTS if name not in NOT_PERFORMED],
            "Instead of the call": [name for name in FAULTS if name in NOT_PERFORMED],
        },
        endpoints=ENDPOINTS,
        active=visit.dashboard.faults.active(),
    )


def add(visit: Visit) -> Response:
    """Activate a fault."""
    fault = _parse_form(visit.form)
    visit.dashboard.faults.add(fault)
    return visit.done(f"From the next call on: {_described(fault)}.", "faults.show")


def clear(visit: Visit) -> Response:
    """Clear all faults, or those with a name, or with a name and an endpoint."""
    faults, form = visit.dashboard.faults, visit.form
    try:
        faults.clear(form.get("fault") or None, endpoint=form.get("endpoint") or None)
    except ValueError:
        raise Missing("fault") from None
    left = "; ".join(_described(fault) for fault in faults.active())
    text = f"Cleared. Still active: {left}." if left else "Cleared. No fault is active any more."
    return visit.done(text, "faults.show")


def _parse_form(form: Mapping[str, str]) -> Fault:
    """The fault of the form. Raises `Invalid` with the error of each field."""
    name, endpoint = form.get("fault", ""), form.get("endpoint") or None
    times, seconds = form.get("times", "").strip(), form.get("seconds", "").strip()
    known = name if name in FAULTS else _ANY  # the other fields have errors of their own
    _, _, counted, delayed = all_valid(
        lambda: _checked("fault", lambda: Fault(name=name), "Please choose a fault."),
        lambda: _checked("endpoint", lambda: Fault(name=known, endpoint=endpoint)),
        lambda: _checked("times", lambda: parse_fault(f"{known}:*:{times}" if times else known)),
        lambda: _checked("seconds", lambda: parse_fault(f"{known}={seconds}" if seconds else known)),
    )
    return Fault(name=name, endpoint=endpoint, times=counted.times, seconds=delayed.seconds)


def _checked(field: str, make: Callable[[], Fault], problem: str | None = None) -> Fault:
    try:
        return make()
    except ValueError as reason:
        raise Invalid(**{field: problem or str(reason)}) from None


def _described(fault: Fault) -> str:
    delay = "" if fault.seconds is None else f" ({fault.seconds:g} s)"
    times = "until it is cleared" if fault.times is None else "once" if fault.times == 1 else f"{fault.times} times"
    return f"{fault.name}{delay} in {fault.endpoint or 'every call'}, {times}"


RULES: Final = (
    Rule(name="faults.show", method="GET", path="/faults", view=show),
    Rule(name="faults.add", method="POST", path="/faults", view=add, shows=show),
    Rule(name="faults.clear", method="POST", path="/faults/clear", view=clear),
)
