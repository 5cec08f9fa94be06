"""Sessions in Redis 7 or newer (or Valkey): for many machines.

The store defines the commands and interprets their results; a sync and an async executor send them. The keys of a
session and of its end reason are in the same slot of a cluster.

Every key has an expiry. Never retries a command by itself, and never keeps a handle, a name or an address in clear.
"""

from collections.abc import Awaitable, Generator, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from .._core.base.crypto.digests import digest, identity_digest, login_digest, new_key
from .._core.base.dataclass import dataclass
from .._core.base.errors import StoreUnavailable
from .._core.base.models import EndReason, Identity
from .._core.base.session import KEPT_AFTER_END, Session, latest
from .records import Records, ending_of, is_key, login_of

T = TypeVar("T")

FOREVER = 10**11
"""Seconds since 1970: later than any session."""

REVOKE_BATCH = 500
"""Sessions that are ended in one pipeline when all of a person's or a client's sessions are revoked."""

RENEW_ATTEMPTS = 50
"""Attempts to renew a session that other requests change at the same time; at each one, another request succeeds."""

_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""

Command: TypeAlias = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class EveryKey:
    """Requests all keys that match a pattern, from every node of a cluster."""

    pattern: str


Request: TypeAlias = Sequence[Command] | EveryKey

Commands: TypeAlias = Generator[Request, list[Any], T]
"""Yields commands to send together, and is sent their results in order."""


class Executor(Protocol):
    """Sends the commands of the store. Raises `StoreUnavailable`."""

    def run(self, commands: Commands[T]) -> T | Awaitable[T]:
        """Send the commands and pass their results back, until the generator returns."""
        ...

    def keep_connections(self) -> None:
        """As in `KeepsConnections`."""
        ...

    def close(self) -> None | Awaitable[None]:
        """As in `KeepsConnections`."""
        ...


class RedisStore:
    """Implements `SessionStore` and `RevocationStore`, sync or async like its executor. `client` separates clients."""

    def __init__(self, executor: Executor, *, client: str, records: Records) -> None:
        self._executor = executor
        self._records = records
        self._prefix = f"xwms:{client}:"

    def _session_key(self, key: str) -> str:
        return f"{self._prefix}{{{key}}}"

    def _ended_key(self, key: str) -> str:
        return f"{self._prefix}{{{key}}}:ended"

    def _list_key(self, identity: Identity) -> str:
        return f"{self._prefix}listed:{identity_digest(identity)}"

    def _login_key(self, login: str) -> str:
        return f"{self._prefix}login:{login}"

    def _lists_of(self, session: Session) -> list[str]:
        """The keys of the lists that a session is in: its person's, and its login's at the authorization server."""
        login = login_of(session)
        return [self._list_key(session.user.identity), *([] if login is None else [self._login_key(login)])]

    def _remove_from_lists(self, session: Session, key: str) -> list[Command]:
        return [("ZREM", name, key) for name in self._lists_of(session)]

    def keep_connections(self) -> None:
        self._executor.keep_connections()

    def close(self) -> None | Awaitable[None]:
        return self._executor.close()

    # Sessions.

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        handle = new_key()
        return self._executor.run(self._create(handle, session, until, now))

    def _create(self, handle: str, session: Session, until: int, now: int) -> Commands[str]:
        key = digest(handle)
        yield [
            ("SET", self._session_key(key), self._records.write(session, key=key), "EX", max(1, until - now)),
            *self._add_to_lists(session, key, until, now),
        ]
        return handle

    def _add_to_lists(self, session: Session, key: str, until: int, now: int) -> list[Command]:
        # Expired sessions are removed first, so that the list of somebody who logs in often does not grow forever.
        # The list expires with the last of its sessions: NX sets the expiry of a new list, GT extends an existing one.
        seconds = max(1, until - now)
        return [
            command
            for name in self._lists_of(session)
            for command in (
                ("ZREMRANGEBYSCORE", name, "-inf", now),
                ("ZADD", name, "GT", until, key),
                ("EXPIRE", name, seconds, "NX"),
                ("EXPIRE", name, seconds, "GT"),
            )
        ]

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        return self._executor.run(self._load(digest(handle)))

    def _load(self, key: str) -> Commands[Session | EndReason | None]:
        (found,) = yield [("MGET", self._session_key(key), self._ended_key(key))]
        return self._read(key, found)

    def _read(self, key: str, found: Sequence[bytes | None]) -> Session | EndReason | None:
        record, ended = found
        if ended is not None:
            return ending_of(ended.decode(errors="replace"))
        return None if record is None else self._records.read(record, key=key)

    def recall(self, handle: str, *, now: int) -> Session | None:
        return None

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        return self._executor.run(self._renew(handle, session, until, now))

    def _renew(self, handle: str, session: Session, until: int, now: int) -> Commands[str | None]:
        key = digest(handle)
        for _ in range(RENEW_ATTEMPTS):
            (found,) = yield [("MGET", self._session_key(key), self._ended_key(key))]
            kept = self._read(key, found)
            # A request that ends the session at the same time writes the reason first, and the reason takes precedence.
            if not isinstance(kept, Session):
                return None
            record = self._records.write(latest(kept, session), key=key)
            (written,) = yield [("EVAL", _REPLACE, 1, self._session_key(key), found[0], record, max(1, until - now))]
            if written:
                yield self._add_to_lists(session, key, until, now)
                return handle
        raise StoreUnavailable("Redis: other requests keep changing the session")

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        return self._executor.run(self._drop(digest(handle), why))

    def _drop(self, key: str, why: EndReason | None) -> Commands[None]:
        if why is not None:
            yield from self._end([key], why)
            return
        (found,) = yield [("MGET", self._session_key(key), self._ended_key(key))]
        session = self._read(key, found)
        remove_from_list: list[Command] = []
        if isinstance(session, Session):
            remove_from_list = self._remove_from_lists(session, key)
        yield [("DEL", self._session_key(key), self._ended_key(key)), *remove_from_list]

    def list(self, identity: Identity, *, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        return self._executor.run(self._list(self._list_key(identity)))

    def list_login(self, sid: str, *, issuer: str, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        return self._executor.run(self._list(self._login_key(login_digest(issuer, sid))))

    def _list(self, name: str) -> Commands[Sequence[Session]]:
        keys = yield from self._keys_in(name)
        found = (yield [("MGET", self._session_key(key), self._ended_key(key)) for key in keys]) if keys else []
        sessions = [self._read(key, pair) for key, pair in zip(keys, found, strict=True)]
        alive = [one for one in sessions if isinstance(one, Session)]
        # Unreadable records stay in the list: they are valid again if their key comes back, and must remain revocable.
        gone = [key for key, (record, _) in zip(keys, found, strict=True) if record is None]
        if gone:
            yield [("ZREM", name, *gone)]
        return alive

    def _keys_in(self, name: str) -> Commands[Sequence[str]]:
        (members,) = yield [("ZRANGE", name, 0, -1)]
        return _keys(members)

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        return self._executor.run(self._revoke(session_id)) if is_key(session_id) else False

    def _revoke(self, key: str) -> Commands[bool]:
        (found,) = yield [("MGET", self._session_key(key), self._ended_key(key))]
        session = self._read(key, found)
        if not isinstance(session, Session):
            return False
        yield from self._end([key], EndReason.REVOKED)
        yield self._remove_from_lists(session, key)
        return True

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        return self._executor.run(self._revoke_all(identity))

    def _revoke_all(self, identity: Identity) -> Commands[None]:
        keys = yield from self._keys_in(self._list_key(identity))
        for batch in _batches(keys):
            yield from self._end(batch, EndReason.REVOKED)
            # Not the whole list: a concurrent login may have just added its session.
            yield [("ZREM", self._list_key(identity), *batch)]

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        return self._executor.run(self._revoke_client())

    def _revoke_client(self) -> Commands[None]:
        names = yield EveryKey(f"{self._prefix}{{*}}")
        keys = _keys(name[len(self._prefix) + 1 : -1] for name in names)
        for batch in _batches(keys):
            yield from self._end(batch, EndReason.REVOKED)

    def _end(self, keys: Sequence[str], why: EndReason) -> Commands[None]:
        """Write the reason first, with the expiry that the session had, and then delete the session."""
        seconds = yield [("TTL", self._session_key(key)) for key in keys]
        kept = [
            (key, left if left > 0 else KEPT_AFTER_END) for key, left in zip(keys, seconds, strict=True) if left != -2
        ]
        if kept:
            yield [("SET", self._ended_key(key), why.value, "EX", left) for key, left in kept]
            yield [("DEL", self._session_key(key)) for key, _ in kept]

    # Claimed names, and times up to which sessions are revoked.

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        return self._executor.run(self._claim(name, until - now))

    def _claim(self, name: str, seconds: int) -> Commands[bool]:
        (claimed,) = yield [("SET", self._claim_key(name), 1, "NX", "EX", max(1, seconds))]
        return bool(claimed)

    def release(self, name: str) -> None | Awaitable[None]:
        return self._executor.run(self._release(name))

    def _release(self, name: str) -> Commands[None]:
        yield [("DEL", self._claim_key(name))]

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | Awaitable[Sequence[bool]]:
        return self._executor.run(self._claimed(names))

    def _claimed(self, names: Sequence[str]) -> Commands[Sequence[bool]]:
        return [bool(found) for found in (yield [("EXISTS", self._claim_key(name)) for name in names])]

    def _claim_key(self, name: str) -> str:
        return f"{self._prefix}claim:{name}"

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int] | Awaitable[Sequence[int]]:
        return self._executor.run(self._not_before(names))

    def _not_before(self, names: Sequence[str]) -> Commands[Sequence[int]]:
        found = yield [("GET", self._not_before_key(name)) for name in names]
        return [_parse_time(at) for at in found]

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None | Awaitable[None]:
        return self._executor.run(self._forbid(name, upto, until - now))

    def _forbid(self, name: str, upto: int, seconds: int) -> Commands[None]:
        # Two concurrent calls write nearly the same time, and each revokes the sessions that existed when it began.
        key = self._not_before_key(name)
        (before,) = yield [("GET", key)]
        yield [("SET", key, max(upto, _parse_time(before) + 1), "EX", max(1, seconds))]

    def _not_before_key(self, name: str) -> str:
        return f"{self._prefix}not-before:{name}"


def _keys(found: Iterable[bytes]) -> Sequence[str]:
    """The keys of sessions. Other values, from others who can write to the store, must not prevent a revocation."""
    return sorted(key for name in found if is_key(key := name.decode("latin-1")))


def _batches(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + REVOKE_BATCH] for start in range(0, len(keys), REVOKE_BATCH))


def _parse_time(found: bytes | None) -> int:
    """A time in the store. Another value was written by somebody else, and revokes everything (fail closed)."""
    if found is None:
        return 0
    return int(found) if found.isdigit() and len(found) < 12 else FOREVER
