"""Where the client secret comes from, if not from a string: a file, or a function of the application."""

import os
import threading
from collections.abc import Callable
from typing import NoReturn, Self

from ..base.errors import ConfigError
from ..base.models import Secret


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
        from pathlib import Path  # noqa: PLC0415  loaded only for a file

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
    # A space within is allowed (RFC 6749 A.1 and A.2), and survives in a header.
    if any(not " " <= char <= "~" for char in value):
        return "has characters other than printable ASCII"
    return None
