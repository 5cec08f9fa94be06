"""What a process weighs, what each session that it has seen weighs, and what an installation weighs.

A process is measured in a fresh one, after it has answered ten requests: its resident memory, beside that of the bare
route. The memory of sessions is what a process grows by while it answers that many people's first requests.
An installation is what pip's records say of the files of each distribution, beyond those that the framework brings.

    python benchmarks/memory_cost.py [--json] [--quick]
"""

import argparse
import asyncio
import gc
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from harness import ROOT
from harness.output import add_options, print_rows
from packaging.markers import default_environment
from packaging.requirements import Requirement

PAGE = os.sysconf("SC_PAGE_SIZE")

# Each program makes `app`, `edge` and a good `cookie`, and imports no more than an application would.
STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
edge, cookie = "ASGI", None
async def who(request):
    return PlainTextResponse(str(READ(request)))
app = Starlette(routes=[Route("/who", who)])
READ = lambda request: "constant"
"""
FASTAPI = """
from fastapi import FastAPI
edge, cookie, app = "FastAPI", None, FastAPI()
@app.get("/plain")
async def plain():
    return "constant"
"""
FLASK = """
from flask import Flask
edge, cookie, app = "Flask", None, Flask("app")
app.add_url_rule("/who", "who", lambda: str(READ()))
READ = lambda: "constant"
"""
CONFIG = """
from xwms_auth import XWMSConfig
config = XWMSConfig(client_id="c", client_secret="benchmark-secret", redirect_uris="https://app.example/cb",
                    session_secret="benchmark-only-0123456789abcdef-0123456789abcdef")
"""
OURS_ASGI = "from xwms_auth.starlette import XWMSAuthMiddleware\napp = XWMSAuthMiddleware(app, config)\n"
PROGRAMS = {
    ("ASGI", "bare"): STARLETTE,
    ("ASGI", "ours"): STARLETTE + CONFIG + OURS_ASGI + "READ = lambda request: request.user.sub\n",
    ("ASGI", "SessionMiddleware"): STARLETTE
    + "from starlette.middleware.sessions import SessionMiddleware\napp = SessionMiddleware(app, secret_key='k' * 48)\n"
    + "READ = lambda request: request.session.get('sub')\n",
    ("FastAPI", "bare"): FASTAPI + "app.get('/who')(plain)\n",
    ("FastAPI", "ours"): FASTAPI
    + CONFIG
    + "from xwms_auth.fastapi import OptionalUser, XWMSAuthMiddleware\n"
    + "@app.get('/who')\nasync def who(user: OptionalUser):\n    return str(user)\n"
    + "app.add_middleware(XWMSAuthMiddleware, config=config)\n",
    ("FastAPI", "fastapi-users"): FASTAPI
    + "app.get('/who')(plain)\nfrom fastapi_users import FastAPIUsers, BaseUserManager\n"
    + "from fastapi_users.authentication import AuthenticationBackend, CookieTransport, JWTStrategy\n",
    ("Flask", "bare"): FLASK,
    ("Flask", "ours"): FLASK
    + CONFIG
    + "from xwms_auth.flask import XWMSAuth, current_user\nXWMSAuth(app, config)\nREAD = lambda: current_user.sub\n",
    ("Flask", "Flask session"): FLASK
    + "from flask import session\napp.secret_key = 'k' * 48\nREAD = lambda: session.get('sub')\n",
    ("Flask", "Flask-Login"): FLASK
    + "import flask_login\napp.secret_key = 'k' * 48\nflask_login.LoginManager(app).user_loader(lambda sub: None)\n"
    + "READ = lambda: flask_login.current_user.is_authenticated\n",
}
REQUESTS = """
import asyncio, gc
from harness.calls import CALLS
async def requests():
    for _ in range(10):
        status, _body = await CALLS[edge](app, cookie, "/who")
        assert status == 200, status
asyncio.run(requests())
gc.collect()
from pathlib import Path
print(int(Path("/proc/self/statm").read_text().split()[1]))
"""

INSTALLATIONS = {
    "xwms-auth": ("xwms-auth", (), ()),
    "xwms-auth[flask]": ("xwms-auth", ("flask",), ("flask",)),
    "xwms-auth[starlette]": ("xwms-auth", ("starlette",), ("starlette",)),
    "xwms-auth[fastapi]": ("xwms-auth", ("fastapi",), ("fastapi",)),
    "xwms-auth[fastapi,oauth2]": ("xwms-auth", ("fastapi", "oauth2"), ("fastapi",)),
    "xwms-auth[fastapi,redis]": ("xwms-auth", ("fastapi", "redis"), ("fastapi",)),
    "Flask-Login": ("flask-login", (), ("flask",)),
    "Authlib": ("authlib", (), ()),
    "fastapi-users": ("fastapi-users", (), ("fastapi",)),
}
"""Distribution, its extras, and what is there anyway."""


def processes(repeats: int) -> list[dict[str, object]]:
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        for key, program in PROGRAMS.items():
            command = [sys.executable, "-c", program + REQUESTS]
            paths = os.pathsep.join((str(ROOT / "benchmarks"), str(ROOT)))
            done = subprocess.run(
                command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                found.setdefault(key, []).append(int(done.stdout) * PAGE / 1e6)
            elif "ModuleNotFoundError" not in done.stderr:
                raise RuntimeError(f"{key}: {done.stderr}")
    rows: list[dict[str, object]] = []
    for (edge, name), values in found.items():
        beyond = statistics.median(values) - statistics.median(found[edge, "bare"])
        row = {"kind": "process", "edge": edge, "subject": name, "megabytes": statistics.median(values)}
        rows.append({**row, "least": min(values), "most": max(values), "beyond_bare": beyond})
    return rows


def sessions_seen(numbers: Iterable[int]) -> list[dict[str, object]]:
    """What this process grows by. Run it in a fresh one."""
    from harness.rounds import Cell  # noqa: PLC0415  only where it is the subject
    from harness.subjects import SUBJECTS  # noqa: PLC0415

    subject = next(one for one in SUBJECTS if one.name == "ours, request.user")

    async def grow() -> list[dict[str, object]]:
        cell = Cell(subject, "first seen", 1, time.process_time)
        await cell.run([next(cell.cookies)])
        gc.collect()
        before, seen = _resident(), 0
        rows: list[dict[str, object]] = []
        for number in numbers:
            while seen < number:
                await cell.run([next(cell.cookies)])
                seen += 1
            gc.collect()
            grown = _resident() - before
            row = {"kind": "sessions seen", "edge": "ASGI", "subject": "ours", "sessions": number}
            rows.append({**row, "megabytes": grown / 1e6, "bytes_each": grown / number})
        return rows

    return asyncio.run(grow())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def installations() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for label, (name, extras, given) in INSTALLATIONS.items():
        try:
            there = set().union(*(closure(one, ()) for one in given), {"pip", "setuptools"})
            new = closure(name, extras) - there
        except PackageNotFoundError:
            continue
        sizes = {one: size_of(one) for one in new}
        largest = sorted(sizes, key=lambda one: -sizes[one])[:3]
        row = {"kind": "installation", "subject": label, "distributions": len(new)}
        told = ", ".join(f"{one} {sizes[one] / 1e6:.1f}" for one in largest)
        rows.append({**row, "megabytes": sum(sizes.values()) / 1e6, "largest": told})
    return rows


def closure(name: str, extras: Iterable[str]) -> set[str]:
    """A distribution and all that it requires here."""
    found, to_do = set(), [(name, frozenset(extras))]
    done = set()
    while to_do:
        one = to_do.pop()
        if one in done:
            continue
        done.add(one)
        found.add(_normal(one[0]))
        for text in distribution(one[0]).requires or ():
            requirement = Requirement(text)
            names = one[1] or {""}
            environments = [{**default_environment(), "extra": extra} for extra in names]
            if requirement.marker is None or any(requirement.marker.evaluate(each) for each in environments):
                to_do.append((_normal(requirement.name), frozenset(requirement.extras)))
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def size_of(name: str) -> int:
    """Bytes of the files that pip installed; without the caches of the interpreter, which it makes by itself."""
    if name == "xwms-auth":  # from a checkout, its record has only a link
        files = [path for path in (ROOT / "xwms_auth").rglob("*") if path.is_file() and path.suffix != ".pyc"]
        return sum(path.stat().st_size for path in files)
    return sum(file.size or 0 for file in distribution(name).files or () if file.suffix != ".pyc")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a process, a session and an installation weigh.")
    add_options(parser)
    parser.add_argument("--sessions-seen", nargs="+", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sessions_seen:
        options.json = True
        print_rows(sessions_seen(options.sessions_seen), options)
        return
    numbers = ["100"] if options.quick else ["1000", "10000", "50000"]
    command = [sys.executable, __file__, "--sessions-seen", *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)["rows"]
    print_rows([*processes(1 if options.quick else 3), *seen, *installations()], options)


if __name__ == "__main__":
    main()
