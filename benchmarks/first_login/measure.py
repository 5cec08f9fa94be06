"""From nothing to a login that works, and from there to a page that is tested: ours and others, as they really run.

    python benchmarks/first_login/measure.py            # a table, in some minutes
    python benchmarks/first_login/measure.py --write    # and into results.json and docs/comparison.md
    python benchmarks/first_login/measure.py --quick    # ours only, with this Python's packages: whether it works
    python benchmarks/first_login/measure.py --only authlib_flask
    python benchmarks/first_login/measure.py --page     # the page once more, from results.json
    python benchmarks/first_login/measure.py --check    # whether the page has the counts of these programs

Each program is a folder: `app.py` shows the name of whoever is signed in, lets somebody log in and out, and
`test_app.py` tests that page without a network. It is copied to an empty folder with an environment of its own, the
packages are installed by pip, the server is started, a person logs in over HTTP and out again, and the test runs.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.first_login.programs import PROGRAMS, Program  # noqa: E402  after the path
from benchmarks.linking.count import count  # noqa: E402
from xwms_auth.cli.ports import any_free  # noqa: E402

RESULTS = HERE / "results.json"
PAGE = ROOT / "docs" / "comparison.md"
BEGIN, END = "<!-- generated: first login -->", "<!-- end of first login -->"
NAME = "Anna de Vries"
PASSWORD = "a password of hers"
ROUNDS = 3
"""How often a server is started; the fastest start and the fastest login count."""

NAVIGATES = {
    "Accept": "text/html",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
}


Row = dict[str, str | int | float]


class Failed(Exception):
    """A program does not do what all of them do."""


def lines_of(program: Program) -> tuple[int, int]:
    """The lines of the application and of its test, by the rule of `linking/count.py`."""
    app, test = (
        count((HERE / program.folder / name).read_text(encoding="utf-8")) for name in ("app.py", "test_app.py")
    )
    return app.all, test.all


@contextmanager
def served(program: Program, folder: Path, binaries: Path | None, environ: Mapping[str, str]) -> Iterator[str]:
    """Run the server of a program; give its address once it answers."""
    origin = f"http://localhost:{(port := any_free())}"
    name, *arguments = program.run.split()
    command = [str(binaries / name)] if binaries else [sys.executable, "-m", name.replace("-", "_")]
    more = ["--person", "anna"] if program.is_ours else []
    with (folder / "server.log").open("wb") as log, provider(program, origin) as settings:
        server = subprocess.Popen(
            [*command, *arguments, "--port", str(port), *more],
            cwd=folder,
            env={**environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(origin, server, folder / "server.log")
            yield origin
        finally:
            os.killpg(server.pid, signal.SIGTERM)  # a group that this function has started
            server.wait(30)


@contextmanager
def provider(program: Program, origin: str) -> Iterator[Mapping[str, str]]:
    """Give the settings of a program: an XWMS with its client, if it needs one and does not start it by itself."""
    values = {"SECRET_KEY": "a-secret-for-this-run-0123456789abcdef", "OAUTHLIB_INSECURE_TRANSPORT": "1"}
    if program.callback:
        from xwms_auth.sandbox import SandboxServer, SandboxSettings  # noqa: PLC0415  only here

        settings = SandboxSettings(
            client_id="first-login",
            client_secret="a-client-secret-of-this-run",
            redirect_uris=(origin + program.callback,),
            auto_login="1001",
        )
        with SandboxServer(settings, port=0) as server:
            values |= {
                "XWMS_CLIENT_ID": settings.client_id,
                "XWMS_CLIENT_SECRET": "a-client-secret-of-this-run",
                "XWMS_URL": server.url,
                "XWMS_METADATA_URL": f"{server.url}/.well-known/openid-configuration",
            }
            yield _named(program, values)
    else:
        yield _named(program, values)


def _named(program: Program, values: Mapping[str, str]) -> Mapping[str, str]:
    return {name: values[name.removeprefix("FLASK_")] for name in program.settings}


def _wait(origin: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            httpx2.get(f"{origin}/no-such-page", trust_env=False)
        except httpx2.TransportError:
            time.sleep(0.02)
        else:
            return
    raise Failed(f"the server does not answer: {log.read_text(errors='replace')[-2000:]}")


def log_in_and_out(program: Program, origin: str) -> float:
    """Log in as a browser does, see the name, and log out. Returns the seconds of the login."""
    with httpx2.Client(
        base_url=origin, headers=NAVIGATES, follow_redirects=True, trust_env=False, timeout=20
    ) as client:
        if NAME in client.get("/no-such-page").text:
            raise Failed("the name is there before the login")
        begun = time.perf_counter()
        if program.folder == "flask_login":
            client.post("/login", data={"username": NAME, "password": PASSWORD})
        elif program.folder == "fastapi_users":
            person = {"email": "anna@example.com", "password": PASSWORD, "name": NAME}
            client.post("/auth/register", json=person).raise_for_status()
            client.post("/auth/login", data={"username": person["email"], "password": PASSWORD}).raise_for_status()
        page = client.get("/")
        seconds = time.perf_counter() - begun
        if page.status_code != 200 or NAME not in page.text or str(page.url) != f"{origin}/":
            raise Failed(f"{page.url} does not show the name: {page.status_code} {page.text[:300]}")
        client.post(
            program.logout,
            headers={"Origin": origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"},
            follow_redirects=False,
        )
        left = client.get("/", follow_redirects=False)
        if NAME in left.text or left.status_code == 200:
            raise Failed("the page still shows the name after the logout")
    return seconds


def tested(folder: Path, python: Path | str, environ: Mapping[str, str], *options: str) -> None:
    """Run the test of a program."""
    _run([str(python), "-m", "pytest", "-q", *options], folder, environ)


def _processor_seconds(work: Callable[[], object]) -> float:
    """What the processes that this starts take of the processor, so that the others of this machine do not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(command: list[str], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def _environ() -> dict[str, str]:
    ignored = ("XWMS_", "FLASK_", "PYTHONPATH", "PYTEST", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ignored)}


def _row(program: Program) -> Row:
    app, test = lines_of(program)
    return {
        "program": program.what,
        "commands": len(program.commands),
        "settings": len(program.settings),
        "application lines": app,
        "test lines": test,
        "the test logs in": program.tested,
    }


def quick(program: Program, folder: Path) -> Row:
    """Run a program with this Python's own packages."""
    shutil.copytree(HERE / program.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    environ = {**_environ(), "PYTHONPATH": str(ROOT)}
    with served(program, folder, None, environ) as origin:
        login = log_in_and_out(program, origin)
    plugin = ("-p", "xwms_auth.testing.plugin", "-p", "no:xwms_auth", "-p", "no:cacheprovider")
    tested(folder, sys.executable, environ, *plugin)
    return {**_row(program), "login seconds": login}


def measured(program: Program, folder: Path, wheel: Path) -> Row:
    """Run a program in an environment of its own."""
    shutil.copytree(HERE / program.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    packages = [name.replace("xwms-auth[", f"{wheel}[") for name in program.packages]
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([_uv(), "venv", "--quiet", "--seed", "--python", sys.executable, ".venv"], folder)
    python, empty = folder / ".venv/bin/python", _size(folder / ".venv")
    installed = _processor_seconds(lambda: _run([str(python), *install, *packages], folder, _environ()))
    size = _size(folder / ".venv") - empty
    starts: list[float] = []
    logins: list[float] = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        with served(program, folder, folder / ".venv/bin", _environ()) as origin:
            starts.append(time.perf_counter() - begun)
            logins.append(log_in_and_out(program, origin))
        (folder / "users.db").unlink(missing_ok=True)
    _run([str(python), *install, *program.test_packages], folder, _environ())
    with provider(program, "http://localhost") as settings:
        in_test = {**_environ(), **settings}
    main = program.packages[0].partition("[")[0]
    version = _run([str(python), "-c", f"from importlib.metadata import version; print(version({main!r}))"], folder)
    return {
        **_row(program),
        "version": version.strip(),
        "install seconds": round(installed, 1),
        "megabytes": round(size / 1e6, 1),
        "start seconds": round(min(starts), 2),
        "login seconds": round(min(logins), 2),
        "test seconds": round(_processor_seconds(lambda: tested(folder, python, in_test)), 2),
    }


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


TYPED = ("program", "commands", "settings", "application lines", "test lines", "the test logs in")
WAITED = (
    "program", "version", "install seconds", "megabytes", "start seconds", "login seconds", "test seconds",
)  # fmt: skip
TEXT = ("program", "version", "the test logs in")


def tables(rows: list[Row]) -> str:
    """The rows in Markdown: what is typed, and what is waited for."""
    return "\n\n".join(_table(rows, columns) for columns in (TYPED, WAITED))


def _table(rows: list[Row], columns: tuple[str, ...]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join('---' if name in TEXT else '--:' for name in columns)}|"]
    for row in rows:
        cells = [row.get(name, "–") for name in columns]
        lines.append(f"| {' | '.join(f'{cell:.1f}' if isinstance(cell, float) else str(cell) for cell in cells)} |")
    return "\n".join(lines)


def _page(rows: list[Row]) -> str:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(rows)}\n\n{END}{after}"


def faults() -> list[str]:
    """What is not as it is now: the counts in results.json, or the table of the page."""
    rows: list[Row] = json.loads(RESULTS.read_text(encoding="utf-8"))
    counted = [_row(program) for program in PROGRAMS]
    found = [
        f"{now['program']}: {now}" for now, row in zip(counted, rows, strict=True) if not now.items() <= row.items()
    ]
    return found + ([] if _page(rows) == PAGE.read_text(encoding="utf-8") else [f"the table of {PAGE.name}"])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=[program.folder for program in PROGRAMS])
    options = parser.parse_args()
    if options.check:
        found = faults()
        print("\n".join(found))
        return 1 if found else 0
    if options.page:
        PAGE.write_text(_page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
        return 0
    chosen = [
        program
        for program in PROGRAMS
        if options.only in (None, program.folder) and (program.is_ours or not options.quick)
    ]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as empty:
        if not options.quick:
            _run([_uv(), "build", "--quiet", "--wheel", "--out-dir", f"{empty}/dist"], ROOT)
        for program in chosen:
            print(f"{program.what} ...", file=sys.stderr)
            folder = Path(empty) / program.folder
            rows.append(
                quick(program, folder)
                if options.quick
                else measured(program, folder, next(Path(empty, "dist").glob("*.whl")))
            )
    if options.write and len(rows) == len(PROGRAMS):
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(_page(rows), encoding="utf-8")
    print(json.dumps({"rows": rows}) if options.json else tables(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
