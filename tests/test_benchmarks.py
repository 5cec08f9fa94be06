"""The benchmarks run, and the pages hold what the last full run wrote. How fast anything is, nobody asks here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def rows_of(name: str, *options: str) -> list[dict[str, object]]:
    command = [sys.executable, "-W", "ignore", f"benchmarks/{name}.py", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)["rows"]
    return rows


# The others take longer, even with few rounds: `make nightly` runs them.
QUICK = [
    ("server_rate", "--quick", "--servers", "uvicorn"),
    *((name, "--quick") for name in ("session_count", "memory_cost", "request_profile", "bearer_cost")),
]


@pytest.mark.parametrize("command", QUICK, ids=[command[0] for command in QUICK])
def test_a_benchmark_gives_flat_rows(command):
    rows = rows_of(*command)
    assert rows
    assert not [value for row in rows for value in row.values() if isinstance(value, dict | list)]


def test_a_flood_of_one_address_stops_nobody_else():
    starts, junk = rows_of("login_flood", "--quick")
    assert starts["logged in"] == "100 %"
    assert junk["victims' tokens spent at once"] == "100 %"


def test_the_pages_hold_the_results_that_are_kept():
    command = [sys.executable, "benchmarks/run.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_request_cost_has_us_beside_each_peer_that_is_installed():
    found = {(row["edge"], row["subject"]) for row in rows_of("request_cost", "--quick")}
    peers = {("ASGI", "SessionMiddleware"), ("Flask", "Flask session"), ("Flask", "Flask-Login")}
    ours = {("ASGI", "ours, request.user"), ("Flask", "ours, current_user"), ("FastAPI", "ours, CurrentUser")}
    assert peers | ours | {("websocket", "ours"), ("stream", "ours")} <= found
