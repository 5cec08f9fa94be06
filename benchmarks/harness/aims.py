"""What is aimed at for each work, and where in the results it is found. An aim is never a test: nothing fails by it."""

from dataclasses import dataclass
from typing import Any

from .results import Row, rows_of

Results = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure of the results: the benchmark, the column, and what is in other columns of its row."""

    benchmark: str
    column: str
    where: tuple[tuple[str, Any], ...]

    def row(self, results: Results) -> Row | None:
        return next(iter(rows_of(results, self.benchmark, **dict(self.where))), None)

    def value(self, results: Results) -> float | None:
        row = self.row(results)
        return None if row is None else row.get(self.column)

    def spread(self, results: Results) -> tuple[float, float] | None:
        """The quartiles, if the row has them."""
        row, stem = self.row(results) or {}, self.column.removesuffix("_us").removesuffix("_ms")
        unit = self.column.removeprefix(stem)
        pairs = ((f"{self.column}_q1", f"{self.column}_q3"), (f"{stem}_q1", f"{stem}_q3"))
        pairs += ((f"{stem}_q1{unit}", f"{stem}_q3{unit}"), ("from", "to"))
        return next(((row[first], row[third]) for first, third in pairs if first in row), None)


@dataclass(frozen=True, kw_only=True)
class Aim:
    """`times`: at least this many times less than the peer. `most` and `least`: bounds of our own figure.

    `scale` makes the column's unit that of the table.
    """

    work: str
    ours: Figure
    unit: str
    peer: Figure | None = None
    peer_name: str = ""
    times: float | None = None
    most: float | None = None
    least: float | None = None
    scale: float = 1
    stretch: str = ""
    is_rate: bool = False
    """Whether more is better."""

    def told(self) -> str:
        """The aim in words."""
        parts = [] if self.times is None else ["no dearer"] if self.times == 1 else [f"{self.times:g}× less"]
        parts += [f"≤ {self.most:g} {self.unit}"] if self.most is not None else []
        parts += [f"≥ {self.least:g} {self.unit}"] if self.least is not None else []
        return ", ".join(parts) or "told"

    def ratio(self, results: Results) -> float | None:
        """How many times less than the peer; of a rate, how many times more."""
        ours, peer = self.ours.value(results), self.peer.value(results) if self.peer else None
        if ours is None or peer is None or ours <= 0:
            return None
        return ours / peer if self.is_rate else peer / ours

    def reached(self, results: Results) -> bool | None:
        """None where there is no figure, or nothing to reach."""
        ours, ratio = self.ours.value(results), self.ratio(results)
        if ours is None or (self.times is not None and self.peer is None):
            return None
        ours *= self.scale
        checks = []
        if self.times is not None:
            if ratio is None and ours > 0:
                return None
            checks.append(ratio is None or ratio >= self.times)
        if self.most is not None:
            checks.append(ours <= self.most)
        if self.least is not None:
            checks.append(ours >= self.least)
        return all(checks) if checks else None


def request(edge: str, visitor: str, subject: str, column: str = "overhead_us") -> Figure:
    return Figure("request_cost", column, (("edge", edge), ("visitor", visitor), ("subject", subject)))


def _beside(work: str, edge: str, visitor: str, ours: str, peer: str, times: float | None, **rest: Any) -> Aim:
    figures = {"ours": request(edge, visitor, ours), "peer": request(edge, visitor, peer)}
    return Aim(work=work, unit=rest.pop("unit", "µs"), peer_name=peer, times=times, **figures, **rest)


def _asgi(work: str, visitor: str, times: float | None, **rest: Any) -> Aim:
    return _beside(f"ASGI, {work}", "ASGI", visitor, "ours, request.user", "SessionMiddleware", times, **rest)


def _flask(work: str, visitor: str, peer: str, times: float, **rest: Any) -> Aim:
    return _beside(f"Flask, {work}", "Flask", visitor, "ours, current_user", peer, times, **rest)


def _store(work: str, name: str, most: float, peer: str) -> Aim:
    def figure(subject: str) -> Figure:
        where = (("edge", "ASGI"), ("visitor", "warm"), ("subject", subject))
        return Figure("store_cost", "overhead_us", (("table", "wall"), *where))

    mine, other = figure(f"ours, {name}"), figure(peer) if peer else None
    return Aim(work=work, unit="µs", ours=mine, peer=other, peer_name=peer, most=most)


def _rate(work: str, server: str, subject: str, peer: str, stretch: str) -> Aim:
    def figure(name: str) -> Figure:
        return Figure("server_rate", "of_bare", (("server", server), ("subject", name)))

    return Aim(
        work=work,
        unit="of bare",
        ours=figure(subject),
        peer=figure(peer),
        peer_name=peer,
        stretch=stretch,
        is_rate=True,
    )


def _login(
    work: str, kind: str, peer: str, *, state: str = "cold", what: str = "cpu", scale: float = 1, **rest: Any
) -> Aim:
    """A row of a call; a login is two of them."""

    def figure(client: str) -> Figure:
        where = (("table", "one at a time"), ("kind", kind), ("state", state), ("what", what), ("client", client))
        return Figure("login_cost", "value", where)

    return Aim(work=work, unit="ms", ours=figure("ours"), peer=figure(peer), peer_name=peer, scale=scale, **rest)


def _logins(work: str, kind: str, state: str, **rest: Any) -> Aim:
    def figure(client: str) -> Figure:
        where = (("table", "at once"), ("kind", kind), ("state", state), ("people", 64), ("client", client))
        return Figure("login_cost", "value", where)

    peer = figure("httpx2")
    return Aim(work=work, unit="a second", ours=figure("ours"), peer=peer, peer_name="httpx2", is_rate=True, **rest)


def _import(work: str, subject: str, peer: str, **rest: Any) -> Aim:
    def figure(name: str) -> Figure:
        return Figure("import_cost", "value", (("table", "import"), ("subject", name), ("what", "wall")))

    other = figure(peer) if peer else None
    return Aim(work=work, unit="ms", ours=figure(subject), peer=other, peer_name=peer, **rest)


def _bearer(work: str, visitor: str, peer: str, **rest: Any) -> Aim:
    def figure(subject: str) -> Figure:
        where = (("edge", "Starlette"), ("visitor", visitor), ("subject", subject))
        return Figure("bearer_cost", "overhead_us", where)

    other = figure(peer) if peer else None
    return Aim(work=work, unit="µs", ours=figure("ours"), peer=other, peer_name=peer, **rest)


REQUESTS = [
    _asgi("signed in", "warm", 7, stretch="9×"),
    _asgi("first sight of a cookie", "first seen", 2, stretch="3×"),
    _asgi("forged", "forged", 3.5, stretch="5×"),
    _asgi("anonymous: no cookie", "anonymous", 3, stretch="5×"),
    _asgi("anonymous: others' cookies", "others' cookies", 3, stretch="5×"),
    _asgi("anonymous: a route that does not ask", "does not ask", None, most=1.5),
    _beside("FastAPI `CurrentUser`", "FastAPI", "warm", "ours, CurrentUser", "PyJWT", 5),
    _beside("FastAPI `CurrentUser`", "FastAPI", "warm", "ours, CurrentUser", "fastapi-users", 20),
    _flask("signed in", "warm", "Flask session", 12, stretch="15×"),
    _flask("signed in", "warm", "Flask-Login", 15, stretch="17×"),
    _flask("first sight", "first seen", "Flask session", 4),
    _flask("forged", "forged", "Flask session", 5),
    _flask("anonymous", "anonymous", "Flask session", 8),
    _beside("websocket, connect", "websocket", "warm", "ours", "SessionMiddleware", None, most=5),
    _beside("stream, a chunk", "stream", "warm", "ours", "SessionMiddleware", None, unit="ns", most=50, scale=1000),
]
LOGINS = [
    _login("login, connections cold, sync", "sync", "requests.post", most=7, stretch="3 ms", scale=2),
    _login("a call of a login, connections cold, async", "async", "httpx2", most=6, stretch="3 ms"),
    _login("its longest stall of the event loop", "async", "httpx2", what="stall", most=5),
    _login("login, connections warm, sync", "sync", "httpx2", state="warm", most=0.67, stretch="0.5 ms", scale=2),
    _login("login, connections warm, async", "async", "httpx2", state="warm", most=1.29, stretch="0.9 ms", scale=2),
    _logins("64 logins at once, sync", "sync", "kept", least=600),
    _logins("64 logins at once, async", "async", "kept", least=480, stretch="1,500"),
    _logins("64 at once and no connection open, sync", "sync", "burst"),
    _logins("64 at once and no connection open, async", "async", "burst"),
]
IMPORTS = [
    _import("import beyond Starlette", "ours, Starlette", "Authlib, Starlette", most=20, stretch="12 ms"),
    _import("import beyond Flask", "ours, Flask", "Authlib, Flask", most=20, stretch="12 ms"),
    _import("import beyond Flask", "ours, Flask", "Flask-Login"),
    _import("the login set up after that, Starlette", "ours, Starlette, set up", ""),
    _import("the login set up after that, Flask", "ours, Flask, set up", ""),
]
TOKENS = [
    _bearer("bearer token, JWT with RS256 and a known key", "JWT RS256", "PyJWT", times=1, stretch="1.7×"),
    _bearer("bearer token, seen a moment ago", "opaque, seen", "", most=15),
]
SERVERS = [
    _rate("uvicorn, rate", "uvicorn", "ours, request.user", "SessionMiddleware", "0.88"),
    _rate("gunicorn, rate", "gunicorn", "ours, current_user", "Flask session", "0.88"),
]
STORES = [
    _store("signed in, memory", "memory", 12, "starsessions, memory"),
    _store("signed in, SQLite", "SQLite", 45, ""),
    _store("signed in, Redis", "Redis TCP", 140, "starsessions, Redis TCP"),
]
AIMS = [*REQUESTS, *SERVERS, *LOGINS, *IMPORTS, *TOKENS, *STORES]
