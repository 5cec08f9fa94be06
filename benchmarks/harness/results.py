"""The results of a run: read, written, and searched."""

import datetime
import json
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import ROOT

FILE = ROOT / "benchmarks" / "results.json"
PACKAGES = ("starlette", "fastapi", "flask", "werkzeug", "itsdangerous", "cryptography", "httpcore2", "redis")
PACKAGES += ("uvicorn", "uvloop", "httptools", "gunicorn", "flask-login", "PyJWT", "fastapi-users", "starsessions")
PACKAGES += ("Flask-Session", "requests", "httpx2", "authlib", "joserfc")
DIGITS = 5
"""Of a figure in the file: more would only change from run to run."""

Row = dict[str, Any]


def load(path: Path = FILE) -> dict[str, Any]:
    empty: dict[str, Any] = {"machine": {}, "benchmarks": {}}
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else empty


def save(results: dict[str, Any], path: Path = FILE) -> None:
    """One line for each row, so that two runs can be compared line by line."""
    parts = []
    for name, found in results["benchmarks"].items():
        rows = [json.dumps(_rounded(row), ensure_ascii=False) for row in found["rows"]]
        rest = json.dumps({key: value for key, value in found.items() if key != "rows"})[1:-1]
        inner = ",\n    ".join(rows)
        parts.append(
            f'  {json.dumps(name)}: {{{rest}, "rows": [\n    {inner}\n  ]}}'
            if rows
            else f'  {json.dumps(name)}: {{{rest}, "rows": []}}'
        )
    machine = json.dumps(results["machine"], indent=1, ensure_ascii=False)
    path.write_text(f'{{"machine": {machine},\n"benchmarks": {{\n' + ",\n".join(parts) + "\n}}\n", encoding="utf-8")


def _rounded(row: Row) -> Row:
    return {key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for key, value in row.items()}


def rows_of(results: dict[str, Any], benchmark: str, **where: Any) -> list[Row]:
    """The rows whose named columns have these values."""
    rows: list[Row] = results["benchmarks"].get(benchmark, {}).get("rows", [])
    return [row for row in rows if all(row.get(key) == value for key, value in where.items())]


def machine() -> dict[str, Any]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": round(os.getloadavg()[0], 2),
        "redis-server": _first_line("redis-server", "--version").partition("v=")[2].partition(" ")[0],
        "valgrind": _first_line("valgrind", "--version").removeprefix("valgrind-"),
        "packages": versions,
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _first_line(program: str, option: str) -> str:
    if not shutil.which(program):
        return ""
    return subprocess.run([program, option], capture_output=True, text=True, check=False).stdout.partition("\n")[0]
