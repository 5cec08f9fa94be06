"""The arithmetic of docs/growth.md: what follows from the figures for a site with many processes."""

from typing import Any

from .results import rows_of

APPLICATION_MS = 5
"""What an ordinary page of an application takes of a processor: a query and a template."""


def _one(results: dict[str, Any], benchmark: str, column: str, **where: Any) -> float | None:
    rows = [row for row in rows_of(results, benchmark, **where) if row.get(column) is not None]
    return rows[-1][column] if rows else None  # the last is that with the most sessions


def lines(results: dict[str, Any]) -> list[list[str]]:
    """What is asked, the answer, and the arithmetic."""
    found: list[list[str]] = []
    pages = 1000 / APPLICATION_MS
    cpu = _one(results, "server_rate", "cpu_overhead_us", server="uvicorn", subject="ours, request.user")
    if cpu is not None:
        part = cpu / (APPLICATION_MS * 1000) * 100
        how = f"{cpu:.0f} µs beyond bare, of {APPLICATION_MS} ms"
        found.append(
            [f"our part of a page that takes {APPLICATION_MS} ms, session in the cookie", f"{part:.1f} %", how]
        )
    rate = _one(results, "server_rate", "rate", server="uvicorn", subject="ours, request.user")
    if rate is not None:
        told = "a route that only says who is there, one worker of uvicorn"
        found.append([told, f"{rate:,.0f} a second", "measured, with the load generator beside it"])
    found.append(
        [
            f"pages of {APPLICATION_MS} ms, one process on one core",
            f"{pages:.0f} a second",
            f"1 s ÷ {APPLICATION_MS} ms",
        ]
    )
    for kind in ("sync", "async"):
        where = {"table": "at once", "kind": kind, "client": "ours", "state": "kept", "people": 64}
        logins = _one(results, "login_cost", "value", **where)
        if logins:
            told = f"{logins:,.0f} a second, so {2 * logins:,.0f} calls to XWMS"
            found.append([f"logins of one process, {kind}, 64 at once", told, "measured; XWMS shares the machine"])
    sqlite = _one(results, "session_count", "look_up_us", store="SQLite")
    if sqlite:
        found.append(["look-ups in SQLite, one process", f"{1e6 / sqlite:,.0f} a second", f"1 s ÷ {sqlite:.0f} µs"])
    server = _one(results, "session_count", "server_cpu_us", store="Redis TCP")
    if server:
        commands = 1e6 / server
        found.append(
            [
                "look-ups that fill one core of Redis",
                f"{commands:,.0f} a second",
                f"1 s ÷ {server:.0f} µs of its processor",
            ]
        )
        how = f"{commands:,.0f} ÷ {pages:.0f}"
        found.append(
            [f"processes with pages of {APPLICATION_MS} ms that one Redis serves", f"{commands / pages:,.0f}", how]
        )
    for store in ("SQLite", "Redis TCP"):
        each = _one(results, "session_count", "bytes_each", store=store)
        if each:
            told = f"{each * 1e5 / 1e6:.0f} MB"
            found.append([f"100,000 sessions in {store.partition(' ')[0]}", told, f"100,000 × {each:.0f} bytes"])
    seen = _one(results, "memory_cost", "megabytes", kind="sessions seen")
    if seen:
        found.append(
            ["verified cookies in one process, at most", f"{seen:.0f} MB", "measured with more people than fit"]
        )
    return found
