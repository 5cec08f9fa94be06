"""Secrets and where they come from.

Knows: how to hold a secret so that printing, logging, pickling or copying what holds it shows nothing.
Must not: decide what a secret is used for.
"""

import hmac
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Self

from .errors import ConfigError


class Secret:
    """A string that never shows itself.

    The value lives in a closure, so that `vars()`, `asdict()`, a debugger's list of locals and a crash report
    find only this object and its mask. `reveal()` is the one way in; grep for it to find every reader.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: "str | Secret") -> None:
        plain = value.reveal() if isinstance(value, Secret) else value
        self._reveal: Callable[[], str] = lambda: plain

    def reveal(self) -> str:
        """Return the secret itself."""
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
    """Something that can be asked for the secret whenever it is needed, so that a rotated one is picked up."""

    __slots__ = ()

    def __call__(self) -> Secret:
        """Return the secret of this moment, or raise `ConfigError`."""
        raise TypeError("a SecretSource says where its secret comes from")

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
        if fault := header_fault(secret):
            raise ConfigError([f"client_secret: the callable returned a value that {fault}"])
        return secret

    def __repr__(self) -> str:
        return "SecretFromCallable()"


class SecretFromFile(SecretSource):
    """A secret in a file, read again when the file changes (its time, size or inode)."""

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
                    # Editors and `echo` end a file with one newline; that one is not part of the secret.
                    fresh = Secret(self._path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r"))
                    if not (fault := header_fault(fresh)):
                        self._secret, self._stamp = fresh, stamp
                        return fresh
                else:
                    return self._secret
            except (OSError, ValueError):
                fault = "cannot be read as UTF-8 text"
        raise ConfigError([f"client_secret: the file named by XWMS_CLIENT_SECRET_FILE {fault}"])

    def __repr__(self) -> str:
        return "SecretFromFile()"


def _bytes(secret: Secret) -> bytes:
    # The environment holds bytes that are not UTF-8 as lone surrogates.
    return secret.reveal().encode("utf-8", "surrogatepass")


def header_fault(secret: Secret) -> str | None:
    """Say why the secret cannot travel in a header, or None.

    An HTTP library that is handed a value with a line break prints the whole value in its own error;
    so the value is judged here, and our message never quotes it.
    """
    value = secret.reveal()
    if not value:
        return "is empty"
    if value != value.strip():
        return "begins or ends with white space"
    if any(not "!" <= char <= "~" for char in value):
        return "has characters other than visible ASCII"
    return None
