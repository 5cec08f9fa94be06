"""The tables of docs/performance.md and docs/growth.md, and the plot, from the results of a run.

What stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->` in a page is written here, the rest by hand.
"""

import re
from collections.abc import Callable
from pathlib import Path

from . import ROOT, growth
from .aims import AIMS, Aim
from .plot import Pair, svg_of
from .results import Row, rows_of
from .tables import NOT_MEASURED, Results, columns, number, pivot, spread, table

PAGES = ("performance.md", "growth.md")
PLOT = "performance.svg"
VISITOR = {"warm": "signed in", "first seen": "first sight of a cookie", "anonymous": "no cookie"}


def machine(results: Results) -> str:
    told = results["machine"]
    if not told:
        return NOT_MEASURED
    programs = [f"{name} {told[name]}" for name in ("redis-server", "valgrind") if told.get(name)]
    packages = ", ".join([f"{name} {version}" for name, version in told["packages"].items()] + programs)
    failed = [name for name, found in results["benchmarks"].items() if found.get("failed")]
    lines = [
        f"Measured on {told['date']} with {told['python']}.",
        f"The machine: {told['cores']} cores of {told['processor']}, {told['system']}.",
        f"The load of the machine before the run was {told['load before']}.",
        f"Versions: {packages}.",
    ]
    if failed:
        lines.append(f"These benchmarks failed in this run, and their figures are missing: {', '.join(failed)}.")
    return "\n".join(lines)


def aims(results: Results) -> str:
    head = ["work", "aim", "ours (quartiles)", "peer", "the peer's", "ratio", "reached"]
    return table(head, [_aim(aim, results) for aim in AIMS], 2)


def _aim(aim: Aim, results: Results) -> list[str]:
    told = aim.told() + (f"; stretch {aim.stretch}" if aim.stretch else "")
    ours = aim.ours.value(results)
    if ours is None:
        return [aim.work, told, NOT_MEASURED, aim.peer_name or "–", "–", "–", "–"]
    low, high = aim.ours.spread(results) or (None, None)
    figure = f"{number(ours * aim.scale)} {aim.unit}"
    if low is not None and high is not None:
        figure += spread(low * aim.scale, high * aim.scale)
    peer, ratio, reached = aim.peer.value(results) if aim.peer else None, aim.ratio(results), aim.reached(results)
    theirs = f"{number(peer * aim.scale)} {aim.unit}" if peer is not None else "–"
    verdict = "–" if reached is None else "yes" if reached else "no"
    return [aim.work, told, figure, aim.peer_name or "–", theirs, f"{number(ratio)}×" if ratio else "–", verdict]


def _requests(edges: tuple[str, ...]) -> Callable[[Results], str]:
    def made(results: Results) -> str:
        rows = [row for edge in edges for row in rows_of(results, "request_cost", edge=edge)]
        ours = [row for row in rows if row["visitor"] not in ("1 cookie", "10 cookies", "100 cookies")]
        lines = [
            _request(row, scale=1000 if row["edge"] == "stream" else 1) for row in ours if row["subject"] != "bare"
        ]
        head = ["door", "visitor", "subject", "of bare", "overhead", "quartiles", "left for the collector"]
        return table(head, lines, 4) if lines else NOT_MEASURED

    return made


def _request(row: Row, *, scale: int) -> list[str]:
    unit = "ns" if scale == 1000 else "µs"
    visitor = VISITOR.get(row["visitor"], row["visitor"])
    quartiles = f"{number(row['overhead_q1'] * scale)} to {number(row['overhead_q3'] * scale)}"
    overhead = f"{number(row['overhead_us'] * scale)} {unit}"
    return [
        row["edge"],
        visitor,
        row["subject"],
        f"{number(row['multiple'])}×",
        overhead,
        quartiles,
        number(row["cycles"]),
    ]


def cookies(results: Results) -> str:
    visitors = ("1 cookie", "10 cookies", "100 cookies")
    found = rows_of(results, "request_cost")
    names = dict.fromkeys((row["edge"], row["subject"]) for row in found if row["visitor"] in visitors)
    lines = []
    for edge, subject in names:
        if subject != "bare":
            cells = [rows_of(results, "request_cost", edge=edge, subject=subject, visitor=one) for one in visitors]
            lines.append([edge, subject, *(number(cell[0]["overhead_us"]) if cell else "–" for cell in cells)])
    return table(["door", "subject", *visitors], lines, 3) if lines else NOT_MEASURED


def _state_and_what(row: Row) -> str:
    return f"{row['state']}: {row['what']}, ms"


def _people(row: Row) -> str:
    return f"{row['people']}, {'no connection open' if row['state'] == 'burst' else 'kept'}"


def _what(row: Row) -> str:
    return f"{row['what']}{', ' if row['unit'] else ''}{row['unit']}"


def _stores(results: Results) -> str:
    """Wall and processor beside each other."""
    lines = []
    for row in rows_of(results, "store_cost", table="wall"):
        key = {name: row[name] for name in ("edge", "visitor", "subject")}
        here = next(iter(rows_of(results, "store_cost", table="processor", **key)), None)
        if here is not None and row["subject"] != "bare":
            both = [number(one["overhead_us"]) + spread(one["overhead_q1"], one["overhead_q3"]) for one in (row, here)]
            lines.append([*key.values(), *both])
    return table(["door", "visitor", "session in", "on the wall", "processor"], lines, 2) if lines else NOT_MEASURED


def _growth(results: Results) -> str:
    return table(["what", "how much", "from"], growth.lines(results), 0)


INSTRUCTIONS = {
    "edge": "door",
    "visitor": "visitor",
    "subject": "subject",
    "instructions_k": "thousand instructions",
    "overhead_k": "beyond bare",
}
RATES = {
    "server": "server",
    "subject": "subject",
    "rate": "requests per second",
    "of_bare": "of bare",
    "of_bare_q1": "first quartile",
    "of_bare_q3": "third quartile",
    "cpu_us": "CPU µs per request",
    "cpu_overhead_us": "beyond bare",
}
PROFILE = {
    "edge": "door",
    "visitor": "visitor",
    "file": "file",
    "function": "function",
    "us": "µs",
    "share": "% of the request",
}
PROCESSES = {"edge": "door", "subject": "subject", "megabytes": "MB", "beyond_bare": "beyond bare"}
SEEN = {"sessions": "sessions seen", "megabytes": "MB more", "bytes_each": "bytes each"}
INSTALLED = {
    "subject": "installed",
    "largest": "the largest three, MB",
    "distributions": "distributions",
    "megabytes": "MB",
}
COUNTS = {
    "store": "store",
    "sessions": "sessions",
    "look_up_us": "look-up, µs",
    "look_up_p99_us": "its p99",
    "async_look_up_us": "async look-up, µs",
    "begin_us": "beginning one, µs",
    "server_cpu_us": "Redis's processor, µs per look-up",
    "megabytes": "MB",
    "bytes_each": "bytes each",
}
CLIENT = {"kind": "code", "client": "client"}
IMPORTTIME = {"subject": "imported", "what": "package", "value": "ms"}
TOKENS = {
    "edge": "door",
    "visitor": "token",
    "subject": "subject",
    "us": "µs",
    "overhead_us": "beyond bare",
    "overhead_q1": "first quartile",
    "overhead_q3": "third quartile",
    "times_less": "times less than PyJWT",
}
LOOK_UPS = {"store": "store", "colour": "code", "median_us": "µs", "p99_us": "p99"}
PROMISES = {
    "promise": "promise",
    "visitor": "visitor",
    "saved_k": "thousand instructions",
    "part": "of our overhead",
}
SIZES = {"store": "store", "where": "where", "sessions": "sessions", "megabytes": "MB", "bytes_each": "bytes each"}
BLOCKS: dict[str, Callable[[Results], str]] = {
    "machine": machine,
    "aims": aims,
    "requests": _requests(("ASGI", "FastAPI", "websocket", "stream")),
    "requests of Flask": _requests(("Flask",)),
    "cookies": cookies,
    "instructions": columns("instruction_count", INSTRUCTIONS, 2),
    "promises": columns("promise_cost", PROMISES, 2),
    "profile": columns("request_profile", PROFILE, 2),
    "servers": columns("server_rate", RATES, 6),
    "logins, one at a time": pivot("login_cost", CLIENT, _state_and_what, table="one at a time"),
    "logins, 20 ms away": pivot("login_cost", CLIENT, _state_and_what, table="20 ms away"),
    "logins at once": pivot("login_cost", CLIENT, _people, table="at once"),
    "imports": pivot("import_cost", {"subject": "imported"}, _what, table="import"),
    "importtime": columns("import_cost", IMPORTTIME, 1, table="importtime"),
    "bearer": columns("bearer_cost", TOKENS, 5),
    "stores": _stores,
    "look-ups": columns("store_cost", LOOK_UPS, 2, table="look_ups"),
    "sizes": columns("store_cost", SIZES, 3, table="sizes"),
    "processes": columns("memory_cost", PROCESSES, 2, kind="process"),
    "sessions seen": columns("memory_cost", SEEN, 3, kind="sessions seen"),
    "installations": columns("memory_cost", INSTALLED, 2, kind="installation"),
    "session counts": columns("session_count", COUNTS, 8),
    "growth": _growth,
}


def filled(page: str, results: Results) -> str:
    """A page with its blocks as these results have them."""

    def block(found: re.Match[str]) -> str:
        name = found[1]
        return f"<!-- generated: {name} -->\n\n{BLOCKS[name](results)}\n\n<!-- end of {name} -->"

    return re.sub(r"<!-- generated: ([\w ,-]+) -->\n.*?<!-- end of \1 -->", block, page, flags=re.DOTALL)


def plot(results: Results) -> str:
    pairs = []
    for aim in AIMS:
        ours, peer = aim.ours.value(results), aim.peer.value(results) if aim.peer else None
        if ours is not None and peer is not None and not aim.is_rate:
            work = aim.work.replace("`", "")
            pairs.append(Pair(work, max(0.0, ours * aim.scale), peer * aim.scale, aim.peer_name, aim.unit))
    return svg_of("What it costs beyond the bare route, beside others: less is better", pairs)


def files(results: Results) -> dict[Path, str]:
    """What the pages and the plot should hold."""
    pages = [ROOT / "docs" / name for name in PAGES]
    found = {page: filled(page.read_text(encoding="utf-8"), results) for page in pages}
    return {**found, ROOT / "docs" / PLOT: plot(results)}


def write(results: Results) -> None:
    for path, text in files(results).items():
        path.write_text(text, encoding="utf-8")


def differing(results: Results) -> list[str]:
    """The names of those that hold something else."""
    return [path.name for path, text in files(results).items() if path.read_text(encoding="utf-8") != text]
