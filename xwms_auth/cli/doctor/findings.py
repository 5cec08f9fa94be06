"""What a check has found: one line, and what to do about it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "fault", "warning", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. Neither text ever holds a secret, a token or a cookie."""

    subject: str
    """What was looked at, in a word or two: stable, for programs."""

    state: State
    """`fault`: a login fails, or is unsafe. `warning`: it may. `skipped`: it could not be looked at, and why."""

    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(subject=subject, state="ok", text=text)


def fault(subject: str, text: str, remedy: str) -> Finding:
    """A login fails, or is unsafe."""
    return Finding(subject=subject, state="fault", text=text, remedy=remedy)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """A login may fail, or be less safe than it could be."""
    return Finding(subject=subject, state="warning", text=text, remedy=remedy)


def skipped(subject: str, text: str) -> Finding:
    """It could not be looked at."""
    return Finding(subject=subject, state="skipped", text=text)


def difference(expected: str, actual: str) -> str:
    """Two texts below each other, with a mark where they part.

    Both are shown with escapes for what is not visible ASCII, so that homographs and spaces show.
    """
    one, other = (text.encode("unicode_escape").decode() for text in (expected, actual))
    place = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        place = min(len(one), len(other))
    return f"\n    {one}\n    {other}\n    {' ' * place}^ character {place + 1}"
