"""An XWMS inside this process, for tests of applications: a call to it is a function call, and opens no connection.

Never in production: only `xwms_auth.testing` puts one here, no option and no variable does, and only under a name below
`SUFFIX`, which no host can have (RFC 6761). A call to such a name never leaves the process, whether an XWMS is there or
not.
"""

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit
from weakref import WeakSet

from ..base.dataclass import dataclass
from ..base.effects import UpstreamResponse

SUFFIX = ".in-process.test"
"""How the names of these XWMS end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCall:
    """A call as it would be sent: header names in lower case. `timeout` is the deadline in seconds.

    Never printed: the headers hold the client secret.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    max_reply: int
    timeout: float

    def __repr__(self) -> str:
        return f"LocalCall({self.method} {urlsplit(self.url).path})"


class LocalServer(Protocol):
    """An XWMS inside this process."""

    def answer(self, call: LocalCall) -> UpstreamResponse:
        """Answer a call at once. Raises what the HTTP transport would: `Unreachable`, `Timeout` or `BadAnswer`."""
        ...

    def announce(self, served: object) -> None:
        """Note an application (`ServedApp`) that is set up now, and whose API has the name of an XWMS here."""
        ...


servers: dict[str, LocalServer] = {}
"""By host. Empty but for tests."""

applications: "WeakSet[object]" = WeakSet()
"""What was set up for no XWMS of a test, such as an application that a module makes when it is imported."""


def is_local(host: str) -> bool:
    """Whether only an XWMS inside this process can have this name."""
    return host.endswith(SUFFIX)


def announce(served: object, host: str) -> None:
    """Announce an application that is set up for the XWMS with this name."""
    if (server := servers.get(host)) is None:
        applications.add(served)
    else:
        server.announce(served)
