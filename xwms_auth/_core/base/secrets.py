"""Secrets and their sources. Printing, logging, pickling or copying an object with a secret does not reveal it."""

import hmac
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Self

from .errors import ConfigError


class Secret:
    """A string that is masked wherever it is shown.

    The value is held in a closure, so that `vars()`, `asdict()`, a debugger's list of local variables and a crash
    report show only this object and its mask. `reveal()` is the only way to the value; grep for it to find every use.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: "str | Secret") -> None:
        plain = value.reveal() if isinstance(value, Secret) else value
        self._reveal: Callable[[], str] = lambda: plain

    def reveal(self) -> str:
        """Return the secret in clear text."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


class SecretSource:
    """Returns the secret each time it is needed, so that a rotated secret is picked up."""

    __slots__ = ()

    def __call__(self) -> Secret:
        """Return the current secret, or raise `ConfigError`."""
        raise TypeError("a subclass of SecretSource must define __call__")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SecretSource cannot be pickled")


class FixedSecret(SecretSource):
    """A secret that was given as a string."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def __call__(self) -> Secret:
        return self._secret

    def __repr__(self) -> str:
        return "FixedSecret()"


class SecretFromCallable(SecretSource):
    """A secret that the application fetches itself, for instance from a secret manager."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Callable[[], "str | Secret"]) -> None:
        self._fetch = fetch

    def __call__(self) -> Secret:
        secret = Secret(self._fetch())
        if problem := header_fault(secret):
            raise ConfigError([f"client_secret: the callable returned a value that {problem}"])
        return secret

    def __repr__(self) -> str:
        return "SecretFromCallable()"


class SecretFromFile(SecretSource):
    """A secret in a file. The file is read again when its modification time, size or inode changes."""

    __slots__ = ("_lock", "_path", "_secret", "_stamp")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._secret = Secret("")

    def __call__(self) -> Secret:
        with self._lock:
            try:
                stat = self._path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if stamp != self._stamp:
                    # Editors and `echo` end a file with one newline, which is not part of the secret.
                    secret = Secret(self._path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r"))
                    if not (problem := header_fault(secret)):
                        self._secret, self._stamp = secret, stamp
                        return secret
                else:
                    return self._secret
            except (OSError, ValueError):
                problem = "cannot be read as UTF-8 text"
        raise ConfigError([f"client_secret: the file named by XWMS_CLIENT_SECRET_FILE {problem}"])

    def __repr__(self) -> str:
        return "SecretFromFile()"


def _bytes(secret: Secret) -> bytes:
    # Python represents bytes of the environment that are not UTF-8 as lone surrogates.
    return secret.reveal().encode("utf-8", "surrogatepass")


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
    if any(not "!" <= char <= "~" for char in value):
        return "has characters other than visible ASCII"
    return None
