"""Where sessions live. The protocols that stores follow are `SessionStore` and `RevocationStore` in `effects.py`.

Knows: which store an option names, and in which colour it comes.
Must not: know what a session means. A store's library is loaded only where an option names the store.
"""

from typing import cast

from .._core.base.errors import ConfigError
from .._core.base.secrets import Secret
from .._core.base.signing import digest
from .._core.base.store_protocols import RevocationStore, SessionStore
from .._core.config.context import Context
from .._core.config.env import is_redis
from .cookie import CookieStore
from .memory import MemoryStore
from .records import Records


def open_store(context: Context, *, is_async: bool = False) -> SessionStore:
    """Return the store that the site's config names, for plain or for async code.

    Raises `ConfigError` where the library for it is missing.
    """
    config = context.config
    if config.session_store == "cookie":
        revocations = None
        if config.revocation_store:
            opened = _open(config.revocation_store, context, is_async=is_async)
            if not isinstance(opened, RevocationStore):
                raise ConfigError(["revocation_store is no RevocationStore"])
            revocations = opened
        lifetime = config.lifetime_seconds
        return CookieStore(context.session_signer, issuer=config.issuer, lifetime=lifetime, revocations=revocations)
    return cast("SessionStore", _open(config.session_store, context, is_async=is_async))


def _open(named: object, context: Context, *, is_async: bool) -> object:
    if not isinstance(named, str | Secret):
        return named
    # Masked in every frame from here on: a crash report records them, and the address may hold a password.
    address = Secret(named)
    if address.reveal() == "memory://":
        return MemoryStore()
    # Clients that share a store are kept apart by a short name of each.
    client, records = digest(context.audience)[:16], Records(context.record_sealer, issuer=context.config.issuer)
    if is_redis(address.reveal()):
        return _open_redis(address, client, records, is_async=is_async)
    from .sqlite import AsyncSQLiteStore, SQLiteStore  # noqa: PLC0415  loaded only by who uses it

    kind = AsyncSQLiteStore if is_async else SQLiteStore
    return kind(address.reveal().removeprefix("sqlite:///"), client=client, records=records)


def _open_redis(url: Secret, client: str, records: Records, *, is_async: bool) -> object:
    from .redis import RedisStore  # noqa: PLC0415

    try:
        from .redis_executors import AsyncRedisExecutor, RedisExecutor  # noqa: PLC0415
    except ImportError:
        pass
    else:
        return RedisStore(AsyncRedisExecutor(url) if is_async else RedisExecutor(url), client=client, records=records)
    raise ConfigError(["a store in Redis needs redis-py: pip install 'xwms-auth[redis]'"])
