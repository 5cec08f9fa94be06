"""Where the client secret comes from, if not from a string: a file, or a function of the application.

Nothing here knows XWMS; `credentials` decides when a source is read again.
"""

import os
import threading
import time
from collections.abc import Awaitable, Callable
from inspect import iscoroutine, iscoroutinefunction
from stat import S_ISDIR, S_ISREG
from typing import Literal, NoReturn, Self, TypeAlias, cast

from ..base.dataclass import dataclass
from ..base.errors import ConfigError
from ..base.models import Secret

Fetch: TypeAlias = Callable[[], str | Secret | Awaitable[str | Secret]]
"""A callable without arguments that returns the client secret, or an awaitable for it."""

SOURCE_SECONDS = 5.0
"""Seconds after which a call waits no longer for a source."""

READ_INTERVAL = 0.2
"""Seconds from the beginning of one reading of a callable to that of the next one, at least.

Denial of service: while XWMS refuses the secret, anybody who starts logins would have the source read as often. Not
more, because each of them keeps a thread of the server until the next reading, so that one after the source was updated
does not fail.
"""

RETRY_INTERVAL = 1.0
"""The same after a reading that failed. Nobody waits for it."""

TOLD_INTERVAL = 1.0
"""Seconds between two lines of the log that say the same about a source."""

MAX_PATIENCE = 6
"""How often the time doubles after which a reading that does not end makes way for another one: 5 seconds to 5 minutes.

Each of them leaves a thread behind that hangs.
"""


class _Seldom:
    """Whether nothing was told within the last `TOLD_INTERVAL`."""

    __slots__ = ("_told_at",)

    def __init__(self) -> None:
        self._told_at = -TOLD_INTERVAL

    def may(self) -> bool:
        now = time.monotonic()
        if now < self._told_at + TOLD_INTERVAL:
            return False
        self._told_at = now
        return True


class SecretSource:
    """Returns the secret each time it is needed, so that a rotated secret is picked up."""

    __slots__ = ()

    name = ""
    """What it is, for the log."""

    def __call__(self) -> Secret:
        """Read the source and return the secret, or raise `ConfigError`."""
        raise TypeError("a subclass of SecretSource must define __call__")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SecretSource cannot be pickled")


@dataclass(slots=True, eq=False)
class Reading:
    """One reading of a callable. `began` is on the monotonic clock, `pid` the process that does it.

    `is_first` is whether there was no secret yet, so that none was refused. `failure` is the type and place of an
    error, never its text; empty if there was none. `changed` is whether the secret is another one than before.
    """

    began: float
    pid: int
    is_first: bool = False
    done: bool = False
    failure: str = ""
    changed: bool = False
    logged: bool = False

    @property
    def hangs(self) -> bool:
        """Whether it has taken longer than anybody waits for it."""
        return not self.done and time.monotonic() >= self.began + SOURCE_SECONDS


class SourceFault(ConfigError):
    """A source gives nothing that can be a secret. Its text is the package's own, and quotes nothing."""


class SecretFromCallable(SecretSource):
    """A secret that the application fetches itself, for instance from a secret manager.

    It is kept, and fetched again when somebody says that it is refused. Of many who say so at once one reads, and the
    others wait for that. Thread-safe; also the callers of several event loops may share it.
    """

    __slots__ = ("_fetch", "_hung", "_kept", "_last", "_lock", "_refusals", "is_async")

    name = "callable"

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._kept: Secret | None = None
        self._last: Reading | None = None
        self._hung = 0
        self._refusals = _Seldom()
        call: object = getattr(fetch, "__call__", None)  # noqa: B004  an object of a class with an async __call__
        self.is_async = iscoroutinefunction(fetch) or iscoroutinefunction(call)

    @property
    def kept(self) -> Secret | None:
        """The secret of the last reading, if there was one."""
        return self._kept

    def __call__(self) -> Secret:
        refuse_async(self)
        return _raised(_checked(self._fetch()))

    async def fetch(self) -> Secret:
        """The same for an async callable."""
        return _raised(_checked(await cast("Awaitable[object]", self._fetch())))

    def look(self, *, refused: Secret | None, since: float) -> Secret | Reading | Literal["wait", "give up"]:
        """The secret, unless it is the refused one; or else what to do: this reading, wait for one, or give up.

        `since` is when the refused call was sent. Only a reading that began after it can show that there is no other
        secret: one that began before may have been answered just before the secret was changed.
        """
        with self._lock:
            if self._kept is not None and self._kept != refused:
                return self._kept
            last, now = self._last, time.monotonic()
            if last is not None and last.done:
                if last.began >= since:
                    return "give up"
                if last.failure:
                    # Nobody waits: there is no telling when the source is back.
                    if now < last.began + RETRY_INTERVAL:
                        return "give up"
                elif now < last.began + READ_INTERVAL and not last.is_first:
                    return "wait"
            elif last is not None and last.pid == os.getpid():
                if not last.hangs:
                    return "wait"
                if now < last.began + SOURCE_SECONDS * 2**self._hung:
                    return "give up"
                self._hung = min(self._hung + 1, MAX_PATIENCE)
            self._last = Reading(began=now, pid=os.getpid(), is_first=refused is None)
            return self._last

    def end(self, reading: Reading, outcome: Secret | str) -> None:
        """Note what came of a reading: the secret, or the failure."""
        with self._lock:
            if reading.done or reading is not self._last:
                return  # it hung, and another one has taken its place
            if isinstance(outcome, Secret):
                reading.changed = self._kept is not None and self._kept != outcome
                self._kept, self._hung = outcome, 0
            else:
                reading.failure = outcome
            reading.done = True

    def unlogged(self, *, is_refused: bool) -> Reading | None:
        """The last reading, if it is over, worth a line in the log, and nobody has logged it.

        That the secret is the same is worth one if it `is_refused`, but not every time.
        """
        with self._lock:
            last = self._last
            if last is None or last.logged or not (last.done or last.hangs):
                return None
            if last.done and not (last.failure or last.changed or (is_refused and self._refusals.may())):
                return None
            last.logged = True
            return last

    def may_warn(self) -> bool:
        """Whether nobody was told within the last second that its secret is refused."""
        with self._lock:
            return self._refusals.may()

    def __repr__(self) -> str:
        return "SecretFromCallable()"


def _checked(value: object) -> Secret | SourceFault:
    if iscoroutine(value):
        value.close()  # Python would warn that nobody has awaited it
        return SourceFault(["client_secret: the callable returned a coroutine; give a function that is itself async"])
    if not isinstance(value, str | Secret):
        return SourceFault(["client_secret: the callable returned something that is neither text nor a Secret"])
    secret = Secret(value)
    if problem := header_fault(secret):
        return SourceFault([f"client_secret: the callable returned a value that {problem}"])
    return secret


def _raised(outcome: Secret | SourceFault) -> Secret:
    # Not where the value was checked: no frame of the traceback may hold it in clear text.
    if isinstance(outcome, SourceFault):
        raise outcome
    return outcome


def refuse_async(source: Secret | SecretSource) -> None:
    """Raise `ConfigError` if the source has to be awaited."""
    if isinstance(source, SecretFromCallable) and source.is_async:
        raise ConfigError(
            [
                "client_secret is an async callable, which only ASGI applications and AsyncXWMSClient can await; "
                "give one that is not async"
            ]
        )


class SecretFromFile(SecretSource):
    """A secret in a file. The file is read again when its modification time, size or inode changes.

    While it has none, the secret that it had before stays in use: what writes it anew may empty or remove it first.
    """

    __slots__ = ("_lock", "_path", "_secret", "_stamp", "_told", "_warnings", "fault")

    name = "file"

    fault: str
    """Why it could not be read the last time; empty if it could."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from pathlib import Path  # noqa: PLC0415  loaded only for a file

        self._path = Path(path)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._secret = self._told = Secret("")
        self._warnings = _Seldom()
        self.fault = ""

    def __call__(self) -> Secret:
        with self._lock:
            try:
                found, self.fault = self._read(), ""
            except ConfigError as error:
                if not self._secret:
                    raise
                found, self.fault = self._secret, "; ".join(error.problems)
            return found

    def other_than(self, refused: Secret) -> Secret | None:
        """Return the secret in the file if it is another one; None if it is the refused one. Raises `ConfigError`."""
        with self._lock:
            if self._secret == refused:
                # Written twice within one tick of the file system's clock, it can look the same.
                self._stamp = None
            return found if (found := self._read()) != refused else None

    def changed(self) -> bool:
        """Whether the secret is another one than at the last time that this was asked, or at the start."""
        with self._lock:
            before, self._told = self._told, self._secret
            return bool(before) and before != self._secret

    def may_warn(self) -> bool:
        """Whether nobody was warned about this file within the last second."""
        with self._lock:
            return self._warnings.may()

    def _read(self) -> Secret:
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            # A pipe gives its secret once, and whoever opens it again may wait for ever.
            is_spent = bool(self._secret) and not (S_ISREG(stat.st_mode) or S_ISDIR(stat.st_mode))
            if stamp == self._stamp or is_spent:
                return self._secret
            # Editors and `echo` end a file with one newline, which is not part of the secret.
            secret = Secret(self._path.read_text(encoding="utf-8").removesuffix("\n"))
            if not (problem := header_fault(secret)):
                self._stamp, self._secret = stamp, secret
                return secret
        except FileNotFoundError:
            problem = "is not there"
        except OSError as error:
            problem = f"cannot be read ({type(error).__name__})"
        except ValueError:
            problem = "is not UTF-8 text"
        raise ConfigError([f"client_secret: the file named by XWMS_CLIENT_SECRET_FILE {problem}"])

    def __repr__(self) -> str:
        return "SecretFromFile()"


def keys_in_file(path: str | os.PathLike[str]) -> tuple[Secret, ...]:
    """Return the session secrets in a file, separated by white space; none if it cannot be read."""
    from pathlib import Path  # noqa: PLC0415  as above

    try:
        return tuple(map(Secret, Path(path).read_text(encoding="utf-8").split()))
    except (OSError, ValueError):
        return ()


def is_repetitive(key: str) -> bool:
    """Whether a key has few different characters, or is one part repeated.

    A string occurs inside its own double, without the first and last character, only if it repeats.
    """
    return len(set(key)) < 8 or key in (key + key)[1:-1]


def header_fault(secret: Secret) -> str | None:
    """Return why the secret cannot be sent in a header, or None.

    An HTTP library that is given a value with a line break quotes the whole value in its error message. So the value is
    checked here first, and our message never quotes it.
    """
    value = secret.reveal()
    if not value:
        return "is empty"
    if value != value.strip():
        return "begins or ends with white space"
    if "\n" in value or "\r" in value:
        return "has more than one line"
    # A space within is allowed (RFC 6749 A.1 and A.2), and survives in a header.
    if any(not " " <= char <= "~" for char in value):
        return "has characters other than printable ASCII"
    return None
