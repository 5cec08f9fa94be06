"""The stores of sessions, and what a store of your own needs: the protocols, and the session that they keep.

The library of a store is imported only if the config uses that store.
"""

import re
from typing import cast

from .._core.base.crypto.digests import digest
from .._core.base.errors import ConfigError
from .._core.base.models import Secret
from .._core.base.session import Session, latest
from .._core.base.store_protocols import FindsLogins, KeepsConnections, KnowsClaims, RevocationStore, SessionStore
from .._core.config.context import Context
from .._core.config.env import is_database, is_redis
from .cookie import CookieStore
from .memory import MemoryStore
from .records import OpenedForClient, Records

__all__ = [
    "FindsLogins",
    "KeepsConnections",
    "KnowsClaims",
    "RevocationStore",
    "Session",
    "SessionStore",
    "latest",
    "open_store",
]


def open_store(context: Context, *, is_async: bool = False) -> SessionStore:
    """Return the store of the config, sync or async. Raises `ConfigError` if its library is missing."""
    config = context.config
    if config.session_store == "cookie":
        revocations = None
        if config.revocation_store:
            opened = _open(config.revocation_store, context, is_async=is_async)
            if not isinstance(opened, RevocationStore):
                raise ConfigError(["revocation_store is not a RevocationStore"])
            revocations = opened
        lifetime = config.lifetime_seconds
        return CookieStore(context.session_sealer, issuer=context.issuer, lifetime=lifetime, revocations=revocations)
    return cast("SessionStore", _open(config.session_store, context, is_async=is_async))


def _open(option: object, context: Context, *, is_async: bool) -> object:
    # Clients that share a store are separated by a short name for each.
    client, records = digest(context.audience)[:16], Records(context.record_sealer, issuer=context.issuer)
    if isinstance(option, OpenedForClient):
        return option.open_for(client, records, is_async=is_async)
    if not isinstance(option, str | Secret):
        return option
    # Masked in every frame from here on: a crash report records local variables, and the URL may contain a password.
    url = Secret(option)
    if url.reveal() == "memory://":
        return MemoryStore()
    if is_database(url.reveal()):
        return _open_database(url, client, records, is_async=is_async)
    if is_redis(url.reveal()):
        return _open_redis(url, client, records, is_async=is_async)
    from .sqlite import AsyncSQLiteStore, SQLiteStore  # noqa: PLC0415  imported only if the config uses SQLite

    store_type = AsyncSQLiteStore if is_async else SQLiteStore
    return store_type(url.reveal().removeprefix("sqlite:///"), client=client, records=records)


OLDEST_REDIS_PY = (5, 0, 8)
_NO_REDIS_PY = "a store in Redis needs redis-py: pip install 'xwms-auth[redis]'"

OLDEST_SQLALCHEMY = (2, 0)


def _open_redis(url: Secret, client: str, records: Records, *, is_async: bool) -> object:
    fault = _fault_of("redis", "redis-py", OLDEST_REDIS_PY, "a store in Redis")
    if fault is None:
        from .redis import RedisStore  # noqa: PLC0415  imported only if the config uses Redis

        try:
            from .redis_connections import AsyncRedisExecutor, RedisExecutor  # noqa: PLC0415  needs redis-py
        except ImportError:
            fault = _NO_REDIS_PY
        else:
            executor = AsyncRedisExecutor(url) if is_async else RedisExecutor(url)
            return RedisStore(executor, client=client, records=records)
    raise ConfigError([fault])


def _open_database(url: Secret, client: str, records: Records, *, is_async: bool) -> object:
    fault = _fault_of("sqlalchemy", "SQLAlchemy", OLDEST_SQLALCHEMY, "a store in a database")
    if fault is None:
        from .sqlalchemy import open_url  # noqa: PLC0415  imported only if the config uses a database

        return open_url(url, client, records, is_async=is_async)
    raise ConfigError([fault])


def _fault_of(package: str, name: str, oldest: tuple[int, ...], store: str) -> str | None:
    """What is wrong with the installed version of the package, which is also the name of our extra."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  slow to import

    try:
        installed = version(package)
    except PackageNotFoundError:
        return f"{store} needs {name}: pip install 'xwms-auth[{package}]'"
    if tuple(map(int, re.findall(r"[0-9]+", installed)[:3])) >= oldest:
        return None
    wanted = ".".join(map(str, oldest))
    upgrade = f"pip install --upgrade 'xwms-auth[{package}]'"
    return f"{store} needs {name} {wanted} or newer, and {installed} is installed: {upgrade}"
