"""What is left of a server's rate with somebody signed in: as a ratio of the bare route's, with its spread.

uvicorn (with httptools and uvloop, if they are installed) and gunicorn (gthread), one worker each, over loopback with
connections that stay open. Load generator and server share the machine: trust the ratios, and the processor time per
request, which is the server's own. All subjects take turns in every round.

    python benchmarks/server_rate.py [--json] [--quick] [--rounds N]
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT
from harness.calls import BROWSER
from harness.load import Load, cpu_seconds, processes_of
from harness.more_subjects import fastapi_subjects
from harness.output import add_options, print_rows
from harness.rounds import OTHERS, quartiles
from harness.subjects import SUB, SUBJECTS, Subject

from xwms_auth.cli.ports import any_free

NAMES = {
    "uvicorn": ("ASGI/bare", "ASGI/ours, request.user", "ASGI/ours, @login_required", "ASGI/SessionMiddleware"),
    "uvicorn, FastAPI": ("FastAPI/bare", "FastAPI/ours, CurrentUser", "FastAPI/PyJWT", "FastAPI/fastapi-users"),
    "gunicorn": ("Flask/bare", "Flask/ours, current_user", "Flask/Flask session", "Flask/Flask-Login"),
}
THREADS = 8


@dataclass(frozen=True)
class Row:
    """`of_bare` is the rate as a part of the bare route's in the same round; `cpu_us` is the server's, per request."""

    server: str
    subject: str
    rate: float
    of_bare: float
    of_bare_q1: float
    of_bare_q3: float
    cpu_us: float
    cpu_q1: float
    cpu_q3: float
    cpu_overhead_us: float


class Served:
    def __init__(self, subject: Subject, load: Load, pids: list[int]) -> None:
        self.subject, self._load, self._pids = subject, load, pids
        self.rates: list[float] = []
        self.cpu: list[float] = []

    def measure(self, seconds: float, *, count: bool = True) -> None:
        before = cpu_seconds(self._pids)
        answered, lasted = self._load.run(seconds)
        if count:
            self.rates.append(answered / lasted)
            self.cpu.append((cpu_seconds(self._pids) - before) / answered * 1e6)


@contextmanager
def served(server: str, subject: Subject) -> Generator[Served, None, None]:
    port = any_free()
    if server == "gunicorn":
        command = ["gunicorn", "-k", "gthread", "--threads", str(THREADS), "--keep-alive", "600"]
        command += ["-b", f"127.0.0.1:{port}", "--log-level", "critical", "--no-control-socket"]
        command += ["harness.served_apps:application()"]
    else:
        command = ["uvicorn", "--factory", "harness.served_apps:application", "--port", str(port)]
        command += ["--no-access-log", "--log-level", "critical", "--timeout-keep-alive", "600"]
    folder = Path(__file__).resolve().parent
    environ = {**os.environ, "BENCHMARK_SUBJECT": f"{subject.edge}/{subject.name}"}
    environ["PYTHONPATH"] = os.pathsep.join((str(folder), str(ROOT)))
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=folder, env=environ)
    try:
        _wait_for(process, port)
        cookie = f"{OTHERS}{subject.cookie}={subject.mint()}"
        lines = [f"{name}: {value}" for name, value in {**BROWSER, "cookie": cookie}.items()]
        request = "\r\n".join(["GET /who HTTP/1.1", *lines, "", ""]).encode()
        load = Load(port, request, b"\r\n\r\n" + SUB.encode())
        load.run(0.05)  # a worker of gunicorn loads its application late
        yield Served(subject, load, processes_of(process.pid))
        load.close()
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError("the server does not start")


def rows_of(server: str, rounds: int, seconds: float) -> list[Row]:
    known = {f"{one.edge}/{one.name}": one for one in (*SUBJECTS, *fastapi_subjects())}
    with ExitStack() as stack:
        kind = server.partition(",")[0]
        found = [stack.enter_context(served(kind, known[name])) for name in NAMES[server] if name in known]
        for one in found:
            one.measure(seconds, count=False)
        for number in range(rounds):
            turn = number % len(found)
            for one in found[turn:] + found[:turn]:
                one.measure(seconds)
        bare = found[0]
        rows = []
        for one in found:
            low, ratio, high = quartiles([mine / its for mine, its in zip(one.rates, bare.rates, strict=True)])
            first, cpu, third = quartiles(one.cpu)
            overhead = statistics.median(mine - its for mine, its in zip(one.cpu, bare.cpu, strict=True))
            rate = statistics.median(one.rates)
            rows.append(Row(server, one.subject.name, rate, ratio, low, high, cpu, first, third, overhead))
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="What is left of a server's rate with somebody signed in.")
    add_options(parser)
    parser.add_argument("--rounds", type=int, help="more rounds, steadier medians (default: 15)")
    parser.add_argument("--servers", nargs="+", choices=NAMES, default=[*NAMES], help="these alone")
    options = parser.parse_args()
    rounds, seconds = (1, 0.1) if options.quick else (options.rounds or 15, 0.4)
    print_rows([row for server in options.servers for row in rows_of(server, rounds, seconds)], options)


if __name__ == "__main__":
    main()
