"""The URLs of stores, and what is wrong with one. Never quotes it: it may contain a password."""

import re
import stat
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from ..base.models import Secret
from .env import DATABASES, REDIS, is_database, is_redis

if TYPE_CHECKING:
    from pathlib import Path

_REDIS_OPTIONS = frozenset(("db", "username", "password", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"))
_DATABASE_URL = r"[a-z]+\+[a-z0-9_]+://[^\s]*/[^\s?/]+(\?[^\s]*)?\Z"  # compiled when it is first used
_WITHOUT_DRIVER = ("postgresql:", "postgres:", "mysql:", "mariadb:")


def store_url_fault(secret_url: Secret, more: str) -> str | None:
    """Return why this is not the URL of a store, or None if it is one. `more` names what is allowed besides."""
    url = secret_url.reveal()
    if url.startswith("sqlite:///"):
        from pathlib import Path  # noqa: PLC0415  loaded only for a file

        path = Path(url.removeprefix("sqlite:///"))
        if path.name == ":memory:" or str(path).startswith("file:"):
            return "does not name a file; for sessions in this process use memory://"
        if not path.name or not _may_be_file(path):
            return "does not name a file in an existing folder, as in sqlite:////var/lib/app/sessions.sqlite3"
    elif is_redis(url):
        if not _is_redis_url(url):
            options = ", ".join(sorted(_REDIS_OPTIONS))
            return f"is not a Redis URL such as redis://host:6379/0, or has an option other than: {options}"
    elif is_database(url):
        if not re.match(_DATABASE_URL, url):
            return "is not a URL of SQLAlchemy such as postgresql+psycopg://user@host/database"
    elif url.startswith(_WITHOUT_DRIVER):
        return "does not name the driver, as in postgresql+psycopg://user@host/database"
    elif url != "memory://":
        kinds = ", ".join(f"{kind}…" for kind in (*REDIS, *DATABASES))
        slashes = " (an SQLite URL has three slashes before the path)" if url.startswith("sqlite") else ""
        return f"must be one of: {more}memory://, sqlite:///path, {kinds}{slashes}"
    return None


def _may_be_file(path: "Path") -> bool:
    """Whether there is a file at this path, or one can be made."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return path.parent.is_dir()
    except (OSError, ValueError):  # a name that no file has, or a folder that this process may not look into
        return False


def _is_redis_url(url: str) -> bool:
    """Whether this is a Redis URL, without options that would change how the client behaves.

    redis-py accepts its own arguments in the query: unknown ones fail at the first use, and some turn a check off.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
        if parts.scheme == "unix":
            has_target = bool(parts.path.strip("/"))
        else:
            number = parts.path.strip("/")
            host = unquote(parts.hostname or "").encode("idna")
            has_target = bool(host and parts.port != 0) and (not number or _is_number(number))
    except ValueError:
        return False
    tls = parts.scheme.startswith("rediss")
    known = all(name in _REDIS_OPTIONS and (tls or not name.startswith("ssl_")) for name in options)
    has_values = all(options.values()) and _is_number(options.get("db", "0"))
    return has_target and known and has_values and not parts.fragment


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
