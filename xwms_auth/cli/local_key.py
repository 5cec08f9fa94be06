"""The secrets of development, the same at every start: derived from one random key that is kept for this user.

The key is in the user's own configuration folder, readable by nobody else, and never in the project: so it is in no
repository, no image and no upload. Each app has a session secret of its own. It begins with `DEVELOPMENT_PREFIX`, and
the settings refuse one like that wherever a redirect URI is not on this machine.
"""

import base64
import hmac
import os
import secrets
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import click

from xwms_auth._core.config.env import DEVELOPMENT_PREFIX
from xwms_auth.cli.environment import fresh_secret
from xwms_auth.cli.terminal import note

_KEY_BYTES: Final = 32
_NAME: Final = "development-key"


def session_secret_for(*purpose: str) -> str:
    """The session secret for this purpose, such as a folder and an app. A new one at each start if nothing is kept."""
    return DEVELOPMENT_PREFIX + _derived("session", *purpose)


def client_secret_for(*purpose: str) -> str:
    """The secret of a client of the local XWMS."""
    return _derived("client", *purpose)


def _derived(*purpose: str) -> str:
    key = _key()
    if key is None:
        return fresh_secret()
    # Lengths first, so that no two lists of texts are the same bytes.
    parts = [part.encode("utf-8", "surrogateescape") for part in purpose]
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")).rstrip(b"=").decode()


@cache
def _key() -> bytes | None:
    """The key of this user, or None with a note if none can be kept."""
    folder = Path(click.get_app_dir("xwms-auth"))
    try:
        return _kept_key(folder)
    except OSError as fault:
        reason = f"nothing can be kept in {folder} ({fault.strerror})"
        note(f"{reason}, so the secrets are new at every start, and a restart signs people out")
        return None


def _kept_key(folder: Path) -> bytes:
    """The key in this folder, made when it is first needed. Raises OSError."""
    file = folder / _NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (key := _read(file)) is None:
        _write(file, secrets.token_bytes(_KEY_BYTES))
        # Read again: another start may have been quicker.
        key = _read(file)
    if key is None:
        raise PermissionError(1, "the key there is not readable by you alone")
    return key


def _read(file: Path) -> bytes | None:
    """The key; None if it is missing, not whole, or not this user's alone."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        about = os.fstat(descriptor)
        if os.name == "posix" and (about.st_uid != os.getuid() or about.st_mode & 0o077):
            return None
        key = opened.read(_KEY_BYTES + 1)
    return key if stat.S_ISREG(about.st_mode) and len(key) == _KEY_BYTES else None


def _write(file: Path, key: bytes) -> None:
    """In one step, so that nobody reads half of it. What is there is replaced."""
    temporary = file.with_name(f"{_NAME}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(key)
        temporary.replace(file)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
