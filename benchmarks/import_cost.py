"""What an import costs beyond the framework that is there anyway: time, modules and memory.

Every measurement is a fresh process that has imported the framework already, and then imports one subject. Bytecode is
compiled before, as it is when a package is installed. Two tables:

- *import*: processor time and time on the wall, the modules that are loaded and the resident memory that they take;
  for ours also *set up* (the application with the login around it) and *first call* (the transport with the HTTP
  library and the certificates of the system, which ASGI loads when the lifespan begins);
- *importtime*: of the import of ours, the time of each package's own modules, as `python -X importtime` says.

Subjects take turns in every round; the figures are medians, and the quartiles say how far the rounds were apart.
Others' packages that are not installed are left out.

    python benchmarks/import_cost.py [--json] [--rounds N]
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from harness.output import print_rows

ROOT = Path(__file__).resolve().parents[1]

CONFIG = """from xwms_auth import XWMSConfig
config = XWMSConfig(
    client_id="client", client_secret="secret-of-a-benchmark", redirect_uris="https://app.example/cb",
    session_secret="for-a-benchmark-only-0123456789-abcdefghij", session_store="cookie",
)
"""
FLASK = f"{CONFIG}app = flask.Flask('app'); from xwms_auth.flask import XWMSAuth; XWMSAuth(app, config)"
STARLETTE = f"{CONFIG}from xwms_auth.starlette import XWMSAuthMiddleware; XWMSAuthMiddleware(None, config)"
TRANSPORT = "import xwms_auth._core.io.transport; from xwms_auth._core.io.sockets import tls_context; tls_context()"

SUBJECTS = (
    ("flask", "ours, Flask", "", "import xwms_auth.flask"),
    ("flask", "ours, Flask, set up", "import xwms_auth.flask", FLASK),
    ("flask", "ours, Flask, first call", FLASK, TRANSPORT),
    ("flask", "Flask-Login", "", "import flask_login"),
    ("flask", "Flask-Session", "", "import flask_session"),
    ("flask", "Authlib, Flask", "", "import authlib.integrations.flask_client"),
    ("starlette.applications", "ours, Starlette", "", "import xwms_auth.starlette"),
    ("starlette.applications", "ours, Starlette, set up", "import xwms_auth.starlette", STARLETTE),
    ("starlette.applications", "ours, Starlette, first call", STARLETTE, TRANSPORT),
    ("starlette.applications", "SessionMiddleware", "", "import starlette.middleware.sessions"),
    ("starlette.applications", "starsessions", "", "import starsessions"),
    ("starlette.applications", "Authlib, Starlette", "", "import authlib.integrations.starlette_client"),
    ("fastapi", "ours, FastAPI", "", "import xwms_auth.fastapi"),
    ("fastapi", "fastapi-users", "", "import fastapi_users"),
)

MEASURE = """
import logging, os, sys, time
logging.disable()
import {framework}
{before}
def resident():
    try:
        return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
modules, memory, wall, cpu = len(sys.modules), resident(), time.perf_counter(), time.process_time()
exec({statement!r})
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
print(1000 * cpu, 1000 * wall, len(sys.modules) - modules, (resident() - memory) / 1e6)
"""

PARTS = (("cpu", "ms"), ("wall", "ms"), ("modules", ""), ("memory", "MB"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(ROOT)  # runs from a checkout, installed or not
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment)


def can_be_imported(framework: str, statement: str) -> bool:
    """Whether it is installed, with all that it needs. Compiles its bytecode."""
    try:
        run("-W", "ignore", "-c", f"import {framework}\n{statement}")
    except subprocess.CalledProcessError:
        return "xwms_auth" in statement
    return True


def imports(rounds: int) -> list[dict[str, Any]]:
    subjects = [one for one in SUBJECTS if can_be_imported(one[0], one[3])]
    found: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(rounds):
        for framework, name, before, statement in subjects:
            code = MEASURE.format(framework=framework, before=before, statement=statement)
            values = [float(value) for value in run("-c", code).stdout.split()]
            found[name].append(values)
    rows = []
    for _, name, _, _ in subjects:
        for (what, unit), values in zip(PARTS, zip(*found[name], strict=True), strict=True):
            first, _, third = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
            row = {"table": "import", "subject": name, "what": what, "unit": unit}
            rows.append({**row, "value": statistics.median(values), "from": first, "to": third, "rounds": rounds})
    return rows


def importtime(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for framework, name, before, statement in SUBJECTS:
        if before or not name.startswith("ours"):
            continue
        totals: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            mark = "print('-' * 9, file=sys.stderr)"
            log = run("-X", "importtime", "-c", f"import sys, {framework}; {mark}; {statement}").stderr
            packages: dict[str, float] = defaultdict(float)
            for line in log.partition("-" * 9)[2].splitlines()[1:]:
                own, _, module = line.removeprefix("import time:").split("|")
                packages[module.strip().partition(".")[0]] += int(own) / 1000
            for package, milliseconds in packages.items():
                totals[package].append(milliseconds)
        medians = {package: statistics.median(values) for package, values in totals.items()}
        for package, value in sorted(medians.items(), key=lambda item: -item[1]):
            if value >= 0.1:
                rows.append({"table": "importtime", "subject": name, "what": package, "unit": "ms", "value": value})
    return rows


def measured(rounds: int) -> list[dict[str, Any]]:
    return imports(rounds) + importtime(rounds)


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{'':28}" + "".join(f"{f'{what} {unit}'.strip():>12}" for what, unit in PARTS) + "   spread of the first")
    for name in dict.fromkeys(row["subject"] for row in rows if row["table"] == "import"):
        own = [row for row in rows if row["table"] == "import" and row["subject"] == name]
        spread = f"{own[0]['from']:.1f} to {own[0]['to']:.1f}"
        print(f"{name:28}" + "".join(f"{row['value']:12.1f}" for row in own) + f"   {spread}")
    for row in rows:
        if row["table"] == "importtime":
            print(f"importtime  {row['subject']:28} {row['what']:20} {row['value']:6.1f} {row['unit']}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What an import costs beyond the framework.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    parser.add_argument("--rounds", type=int, default=11, help="fresh processes for each (default: %(default)s)")
    options = parser.parse_args()
    rows = measured(options.rounds)
    print_rows(rows, options, show)


if __name__ == "__main__":
    main()
