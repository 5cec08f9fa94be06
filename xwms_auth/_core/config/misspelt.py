"""Names in the environment that look like a setting and are none, such as `XWMS_SCOPE`."""

from collections.abc import Mapping
from typing import Any

from .env import ENVIRONMENT

_PREFIX = "XWMS_"

_LIKENESS = 0.8
"""How alike two names must be, from 0 to 1. An application may have variables of its own that begin with our prefix."""


def misspelt(mapping: Mapping[str, Any]) -> list[str]:
    """A sentence for each name that is nearly the name of a setting. The values are not looked at."""
    known = {name for names in ENVIRONMENT.values() for name in names}
    known |= {f"{ENVIRONMENT[name][0]}_FILE" for name in ("client_secret", "session_secret")}
    unknown = [name for name in mapping if _has_prefix(name) and name not in known]
    if not unknown:
        return []
    from difflib import get_close_matches  # noqa: PLC0415  loaded only for a name that is not known

    suffixes = [name.removeprefix(_PREFIX) for name in sorted(known)]
    found = (
        (name, get_close_matches(name[len(_PREFIX) :].upper(), suffixes, n=1, cutoff=_LIKENESS)) for name in unknown
    )
    return [f"{name} is not a setting; {_PREFIX}{close[0]} is" for name, close in sorted(found) if close]


def _has_prefix(name: str) -> bool:
    """Whether a name begins with our prefix, or with its letters in another order or in lower case."""
    prefix = name[: len(_PREFIX)]
    return prefix == _PREFIX or (prefix[-1:] == "_" and sorted(prefix.upper()) == sorted(_PREFIX))
