"""What an XWMS inside the process was asked, without secrets, and what it answers."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast
from urllib.parse import parse_qsl, urlsplit

from .._core.base.dataclass import dataclass
from .._core.io.in_process import LocalCall

_SECRET = ("token", "code", "secret", "verifier", "assertion", "password")


class Reply(NamedTuple):
    """A response: header names as they were sent."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first value of a header, or an empty string. `name` is in lower case."""
        return next((value for known, value in self.headers if known.lower() == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that XWMS was asked, such as `POST /api/sign-token`.

    `body` are its fields, with … for tokens, codes and secrets; credentials are left out. `status` is that of the
    response, or None if there was none. `fault` is the fault of the test that struck it, if any.
    """

    method: str
    path: str
    body: Mapping[str, object]
    status: int | None
    fault: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status or self.fault}"


def call_of(call: LocalCall, *, status: int | None, fault: str | None) -> Call:
    """Return the record of a call."""
    fields = {name: "…" if _is_secret(name) else value for name, value in _fields(call).items()}
    return Call(method=call.method, path=urlsplit(call.url).path, body=fields, status=status, fault=fault)


def _fields(call: LocalCall) -> Mapping[str, object]:
    if "json" not in call.headers.get("content-type", ""):
        return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        parsed: object = json.loads(call.body)
    except ValueError:
        return {}
    return cast("Mapping[str, object]", parsed) if isinstance(parsed, dict) else {}


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET) and not name.endswith(("_type", "_hint", "_method"))
