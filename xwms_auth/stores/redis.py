"""Sessions in Redis 7 or newer (or Valkey): for many machines.

The store says which commands to send and what their answers mean, once; two small players send them, one in plain
code and one in async code. A session and the reason for its end have names that one slot of a cluster holds.

Knows: commands.
Must not: leave a key without an end, retry a command by itself, or keep a handle, a name or an address in clear.
"""

from collections.abc import Awaitable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from .._core.base.errors import StoreUnavailable
from .._core.base.lifetimes import KEPT_AFTER_END
from .._core.base.models import EndReason, Identity, Session, latest
from .._core.base.signing import digest, identity_digest, new_key
from .records import Records, ending_of, is_key

T = TypeVar("T")

FOREVER = 10**11
"""Seconds since 1970 that nobody will see."""

ENDED_AT_ONCE = 500
"""Sessions that are ended in one go when all of a person's or a client's are."""

TRIES = 50
"""Changes of one session by others that a change waits out; each of them is somebody's success."""

_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""

Command: TypeAlias = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class EveryKey:
    """Asks for all keys like this pattern, of every node of a cluster."""

    pattern: str


Commands: TypeAlias = Generator[Sequence[Command] | EveryKey, list[Any], T]
"""Yields commands that go out together and is sent their answers, in order."""


class Player(Protocol):
    """Sends what the store asks for. Raises `StoreUnavailable`."""

    def play(self, commands: Commands[T]) -> T | Awaitable[T]:
        """Send, hand the answers back, until there is a result."""
        ...

    def keep_connections(self) -> None:
        """As in `KeepsConnections`."""
        ...

    def close(self) -> None | Awaitable[None]:
        """As in `KeepsConnections`."""
        ...


class RedisStore:
    """Follows `SessionStore` and `RevocationStore`, in the colour of its player. `client` keeps clients apart."""

    def __init__(self, player: Player, *, client: str, records: Records) -> None:
        self._player = player
        self._records = records
        self._prefix = f"xwms:{client}:"

    def _session(self, key: str) -> str:
        return f"{self._prefix}{{{key}}}"

    def _ended(self, key: str) -> str:
        return f"{self._prefix}{{{key}}}:ended"

    def _sessions_of(self, identity: Identity) -> str:
        return f"{self._prefix}listed:{identity_digest(identity)}"

    def keep_connections(self) -> None:
        self._player.keep_connections()

    def close(self) -> None | Awaitable[None]:
        return self._player.close()

    # Sessions.

    def create(self, session: Session, *, until: int, now: int) -> str | Awaitable[str]:
        handle = new_key()
        return self._player.play(self._create(handle, session, until, now))

    def _create(self, handle: str, session: Session, until: int, now: int) -> Commands[str]:
        key = digest(handle)
        yield [
            ("SET", self._session(key), self._records.write(session, key=key), "EX", max(1, until - now)),
            *self._listed(session.user.identity, key, until, now),
        ]
        return handle

    def _listed(self, identity: Identity, key: str, until: int, now: int) -> list[Command]:
        name, seconds = self._sessions_of(identity), until - now
        # Each with the time when it may be forgotten: somebody who logs in all the time has no list without end.
        # The list lives as long as the last of its sessions: NX for a list that is new, GT for one that is not.
        return [
            ("ZREMRANGEBYSCORE", name, "-inf", now),
            ("ZADD", name, "GT", until, key),
            ("EXPIRE", name, max(1, seconds), "NX"),
            ("EXPIRE", name, max(1, seconds), "GT"),
        ]

    def load(self, handle: str, *, now: int) -> Session | EndReason | None | Awaitable[Session | EndReason | None]:
        return self._player.play(self._load(digest(handle)))

    def _load(self, key: str) -> Commands[Session | EndReason | None]:
        (found,) = yield [("MGET", self._session(key), self._ended(key))]
        return self._read(key, found)

    def _read(self, key: str, found: Sequence[bytes | None]) -> Session | EndReason | None:
        record, ended = found
        if ended is not None:
            return ending_of(ended.decode(errors="replace"))
        return None if record is None else self._records.read(record, key=key)

    def recall(self, handle: str, *, now: int) -> Session | None:
        return None

    def renew(self, handle: str, session: Session, *, until: int, now: int) -> str | None | Awaitable[str | None]:
        return self._player.play(self._renew(handle, session, until, now))

    def _renew(self, handle: str, session: Session, until: int, now: int) -> Commands[str | None]:
        key = digest(handle)
        for _ in range(TRIES):
            (found,) = yield [("MGET", self._session(key), self._ended(key))]
            kept = self._read(key, found)
            # A session that is being ended beside us has its reason first, and that wins.
            if not isinstance(kept, Session):
                return None
            record = self._records.write(latest(kept, session), key=key)
            (written,) = yield [("EVAL", _REPLACE, 1, self._session(key), found[0], record, max(1, until - now))]
            if written:
                yield self._listed(session.user.identity, key, until, now)
                return handle
        raise StoreUnavailable("Redis: the session is changed all the time")

    def drop(self, handle: str, *, why: EndReason | None, now: int) -> None | Awaitable[None]:
        return self._player.play(self._drop(digest(handle), why))

    def _drop(self, key: str, why: EndReason | None) -> Commands[None]:
        if why is not None:
            yield from self._end([key], why)
            return
        (found,) = yield [("MGET", self._session(key), self._ended(key))]
        session = self._read(key, found)
        unlisted: list[Command] = []
        if isinstance(session, Session):
            unlisted = [("ZREM", self._sessions_of(session.user.identity), key)]
        yield [("DEL", self._session(key), self._ended(key)), *unlisted]

    def list(self, identity: Identity, *, now: int) -> Sequence[Session] | Awaitable[Sequence[Session]]:
        return self._player.play(self._list(identity))

    def _list(self, identity: Identity) -> Commands[Sequence[Session]]:
        keys = yield from self._keys_of(identity)
        found = (yield [("MGET", self._session(key), self._ended(key)) for key in keys]) if keys else []
        sessions = [self._read(key, pair) for key, pair in zip(keys, found, strict=True)]
        alive = [one for one in sessions if isinstance(one, Session)]
        # Not those that cannot be read: a key that comes back makes them good again, and they must stay within reach.
        gone = [key for key, (record, _) in zip(keys, found, strict=True) if record is None]
        if gone:
            yield [("ZREM", self._sessions_of(identity), *gone)]
        return alive

    def _keys_of(self, identity: Identity) -> Commands[Sequence[str]]:
        (members,) = yield [("ZRANGE", self._sessions_of(identity), 0, -1)]
        return _keys(members)

    def revoke(self, session_id: str, *, now: int) -> bool | Awaitable[bool]:
        return self._player.play(self._revoke(session_id)) if is_key(session_id) else False

    def _revoke(self, key: str) -> Commands[bool]:
        (found,) = yield [("MGET", self._session(key), self._ended(key))]
        session = self._read(key, found)
        if not isinstance(session, Session):
            return False
        yield from self._end([key], EndReason.REVOKED)
        yield [("ZREM", self._sessions_of(session.user.identity), key)]
        return True

    def revoke_all(self, identity: Identity, *, now: int) -> None | Awaitable[None]:
        return self._player.play(self._revoke_all(identity))

    def _revoke_all(self, identity: Identity) -> Commands[None]:
        keys = yield from self._keys_of(identity)
        for some in _pieces(keys):
            yield from self._end(some, EndReason.REVOKED)
            # Not the whole list: a login that is being made beside us has just put itself there.
            yield [("ZREM", self._sessions_of(identity), *some)]

    def revoke_client(self, *, now: int) -> None | Awaitable[None]:
        return self._player.play(self._revoke_client())

    def _revoke_client(self) -> Commands[None]:
        names = yield EveryKey(f"{self._prefix}{{*}}")
        keys = _keys(name[len(self._prefix) + 1 : -1] for name in names)
        for some in _pieces(keys):
            yield from self._end(some, EndReason.REVOKED)

    def _end(self, keys: Sequence[str], why: EndReason) -> Commands[None]:
        """Put the reason there first, for as long as the session would have been kept, and then take the session."""
        seconds = yield [("TTL", self._session(key)) for key in keys]
        kept = [
            (key, left if left > 0 else KEPT_AFTER_END) for key, left in zip(keys, seconds, strict=True) if left != -2
        ]
        if kept:
            yield [("SET", self._ended(key), why.value, "EX", left) for key, left in kept]
            yield [("DEL", self._session(key)) for key, _ in kept]

    # Claimed names, and times up to which sessions no longer count.

    def claim(self, name: str, *, until: int, now: int) -> bool | Awaitable[bool]:
        return self._player.play(self._take(name, until - now))

    def _take(self, name: str, seconds: int) -> Commands[bool]:
        (taken,) = yield [("SET", self._claim(name), 1, "NX", "EX", max(1, seconds))]
        return bool(taken)

    def release(self, name: str) -> None | Awaitable[None]:
        return self._player.play(self._release(name))

    def _release(self, name: str) -> Commands[None]:
        yield [("DEL", self._claim(name))]

    def claimed(self, names: Sequence[str], *, now: int) -> Sequence[bool] | Awaitable[Sequence[bool]]:
        return self._player.play(self._claimed(names))

    def _claimed(self, names: Sequence[str]) -> Commands[Sequence[bool]]:
        return [bool(found) for found in (yield [("EXISTS", self._claim(name)) for name in names])]

    def _claim(self, name: str) -> str:
        return f"{self._prefix}claim:{name}"

    def not_before(self, names: Sequence[str], *, now: int) -> Sequence[int] | Awaitable[Sequence[int]]:
        return self._player.play(self._not_before(names))

    def _not_before(self, names: Sequence[str]) -> Commands[Sequence[int]]:
        found = yield [("GET", self._mark(name)) for name in names]
        return [_moment(at) for at in found]

    def forbid(self, name: str, *, upto: int, until: int, now: int) -> None | Awaitable[None]:
        return self._player.play(self._forbid(name, upto, until - now))

    def _forbid(self, name: str, upto: int, seconds: int) -> Commands[None]:
        # Two who do this at once write nearly the same time, and each of them ends what was there when it began.
        (before,) = yield [("GET", self._mark(name))]
        yield [("SET", self._mark(name), max(upto, _moment(before) + 1), "EX", max(1, seconds))]

    def _mark(self, name: str) -> str:
        return f"{self._prefix}not-before:{name}"


def _keys(found: Iterable[bytes]) -> Sequence[str]:
    """Keys of sessions. Whoever else writes to the store may put anything among them, and must not stop an end."""
    return sorted(key for name in found if is_key(key := name.decode("latin-1")))


def _pieces(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + ENDED_AT_ONCE] for start in range(0, len(keys), ENDED_AT_ONCE))


def _moment(found: bytes | None) -> int:
    """A time in the store. What is none was put there by somebody else, and nothing counts beside it."""
    if found is None:
        return 0
    return int(found) if found.isdigit() and len(found) < 12 else FOREVER
