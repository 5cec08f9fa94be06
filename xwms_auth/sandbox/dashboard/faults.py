"""The faults that are injected in this sandbox. They do not belong to an account, so any member may change them."""

from collections.abc import Mapping
from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.domain.problems import Invalid, Missing
from xwms_auth.sandbox.faults.catalogue import ENDPOINTS, FAULTS, NOT_PERFORMED, Fault, parse_fault


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
    parts = {"times": f"{name}:*:{times}" if times else name, "seconds": f"{name}={seconds}" if seconds else name}
    problems: dict[str, str] = {}
    read: dict[str, Fault] = {}
    try:
        Fault(name=name)
    except ValueError:
        raise Invalid(fault="Please choose a fault.") from None
    try:
        Fault(name=name, endpoint=endpoint)
    except ValueError as reason:
        problems["endpoint"] = str(reason)
    for part, text in parts.items():
        try:
            read[part] = parse_fault(text)
        except ValueError as reason:
            problems[part] = str(reason)
    if problems:
        raise Invalid(**problems)
    return Fault(name=name, endpoint=endpoint, times=read["times"].times, seconds=read["seconds"].seconds)


def _described(fault: Fault) -> str:
    delay = "" if fault.seconds is None else f" ({fault.seconds:g} s)"
    times = "until it is cleared" if fault.times is None else "once" if fault.times == 1 else f"{fault.times} times"
    return f"{fault.name}{delay} in {fault.endpoint or 'every call'}, {times}"


RULES: Final = (
    Rule(name="faults.show", method="GET", path="/faults", view=show),
    Rule(name="faults.add", method="POST", path="/faults", view=add, shows=show),
    Rule(name="faults.clear", method="POST", path="/faults/clear", view=clear),
)
