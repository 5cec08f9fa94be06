"""Runs one cell: its environment, its servers, its proxy, and the story of its visitors."""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser.servers import self_signed
from tests.matrix import environments
from tests.matrix.cells import APPS, WEBSOCKETS, Cell
from tests.matrix.environments import CannotBeHad, Conflict
from tests.matrix.proxies import FORMS, Place
from tests.matrix.running import next_port, process, wait_until_answering
from tests.matrix.story import Failed, Visited, browser, tell
from tests.tools.redis_server import RedisServer, redis_server
from tests.tools.site import TYPED

HERE = Path(__file__).parent
CALLBACK = "/xwms/validateToken"
# No websocket through these: HTTP/1.0 to the server, a form without the two headers, and one that never answers one.
_NO_WEBSOCKET = {"nginx-http10-upstream", "nginx-keepalive-upstream", "varnish", "nghttpx-tls-http2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`word`: "green", "red" or "not to be had"; `reason` says why it is not green."""

    cell: Cell
    word: str
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A cell with its ports, which are known before the sandbox starts, because it must know the redirect URIs."""

    cell: Cell
    public: int
    ports: tuple[int, ...]
    spare: int

    @property
    def sites(self) -> tuple[Visited, ...]:
        cell = self.cell
        scheme = "https" if cell.tls else "http"
        websocket = cell.app in WEBSOCKETS and cell.runs_on.websocket and cell.proxy not in _NO_WEBSOCKET
        # The client of the story opens websockets to names of this machine only.
        websocket = websocket and cell.hosts == ("localhost",)
        return tuple(
            Visited(base=f"{scheme}://{host}:{self.public}{prefix}", websocket=websocket, http2=cell.http2)
            for host in cell.hosts
            for prefix in cell.prefixes
        )

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        return tuple(site.base + CALLBACK for site in self.sites)


def prepare(cell: Cell) -> Prepared:
    count = max(cell.copies, len(cell.prefixes))
    if not cell.proxy:
        [port] = (next_port(),)
        return Prepared(cell=cell, public=port, ports=(port,), spare=0)
    ports = tuple(next_port() for _ in range(count))
    return Prepared(cell=cell, public=next_port(), ports=ports, spare=next_port())


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all cells share: a sandbox that approves every login, and a Redis."""

    variables: Mapping[str, str]
    redis: RedisServer | None
    folder: Path
    certificate: Path


@contextmanager
def world(redirect_uris: list[str], *, command: list[str]) -> Iterator[World]:
    """`command` runs `xwms-auth`."""
    with TemporaryDirectory(prefix="matrix-") as kept, ExitStack() as stack:
        folder = Path(kept)
        folder.chmod(0o755)
        named = [option for uri in redirect_uris for option in ("--redirect-uri", uri)]
        log = stack.enter_context((folder / "sandbox.log").open("wb"))
        sandbox = subprocess.Popen(
            [*command, "sandbox", "--auto-login", "1001", "--port", str(next_port()), *named],
            stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
        stack.callback(sandbox.wait)
        stack.callback(sandbox.terminate)
        assert sandbox.stdout is not None
        stack.callback(sandbox.stdout.close)
        variables: dict[str, str] = {}
        for line in sandbox.stdout:
            if line.startswith("export "):
                name, _, value = shlex.split(line)[1].partition("=")
                variables[name] = value
            if "listens on" in line:
                break
        else:
            raise RuntimeError((folder / "sandbox.log").read_text())
        redis = None
        if shutil.which("redis-server"):
            redis = stack.enter_context(redis_server(folder, unix=True))
        self_signed(folder, "localhost", "shop.test", "desk.test")
        yield World(variables=variables, redis=redis, folder=folder, certificate=folder / "certificate.pem")


def run(prepared: Prepared, shared: World, *, logs: Path, programs: Path | None = None) -> Result:
    """Never raises for what a cell does; the logs of its processes stay in `logs`.

    `programs`: the folder of an environment that has all that the cell needs, in place of one of its own.
    """
    cell, begun = prepared.cell, time.monotonic()
    if cell.unable:
        return Result(cell=cell, word="not to be had", reason=cell.unable)
    folder = logs / cell.title
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        said = _run(prepared, shared, folder, programs)
    except CannotBeHad as reason:
        return Result(cell=cell, word="not to be had", reason=str(reason))
    except (Failed, Conflict) as fault:
        return Result(cell=cell, word="red", reason=str(fault), seconds=time.monotonic() - begun)
    except Exception as fault:  # noqa: BLE001  the table shows it
        return Result(cell=cell, word="red", reason=f"{type(fault).__name__} {fault}", seconds=time.monotonic() - begun)
    return Result(cell=cell, word="green", reason=said, seconds=time.monotonic() - begun)


def _run(prepared: Prepared, shared: World, folder: Path, programs: Path | None) -> str:
    """What to say of a green cell. Raises `Failed` and `CannotBeHad`."""
    cell, server = prepared.cell, prepared.cell.runs_on
    for program in server.programs:
        environments.tool(program)
    programs = programs or _programs(cell)
    for name, source in (("cert.pem", "certificate.pem"), ("key.pem", "key.pem")):
        shutil.copy(shared.folder / source, folder / name)
    place = Place(
        folder=folder, public=prepared.public, ports=prepared.ports, socket=folder / "s", spare=prepared.spare
    )
    with ExitStack() as stack:
        environ = _environ(prepared, shared, folder, programs)
        processes = []
        for number, port in enumerate(prepared.ports):
            if not server.command:
                continue  # the proxy starts it
            variables = environ if len(cell.prefixes) == 1 else _of_prefix(prepared, environ, number)
            argv = _command(cell, programs, port, place)
            processes.append(
                stack.enter_context(process(argv, log=folder / f"server{number}.log", environ=variables, folder=folder))
            )
        if cell.proxy:
            argv = FORMS[cell.proxy](place)
            # Caddy writes its configuration down, in a folder of its user's.
            own = {**environ, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
            processes.append(stack.enter_context(process(argv, log=folder / "proxy.log", environ=own, folder=folder)))
        try:
            _visit(prepared, shared, processes)
        except Failed as fault:
            if cell.says and _log_says(prepared, shared, folder):
                return f"the log says {cell.says}"
            ended = [str(each.poll()) for each in processes if each.poll() is not None]
            raise Failed(f"{fault} (a server ended with {', '.join(ended)})" if ended else str(fault)) from None
    return ""


def _visit(prepared: Prepared, shared: World, processes: list[subprocess.Popen[bytes]]) -> None:
    with browser(certificate=shared.certificate, keep_alive=False) as client:
        for site in prepared.sites:
            wait_until_answering(client, f"{site.base}/", processes)
    # Alone on each connection first: with several processes each request then meets any of them.
    once = prepared.cell.runs_on.close and not prepared.cell.proxy
    for keep_alive in (False,) if once else (False, True):
        tell(prepared.sites, certificate=shared.certificate, keep_alive=keep_alive)


def _log_says(prepared: Prepared, shared: World, folder: Path) -> bool:
    """Whether the log names what is wrong, once somebody has tried to log in."""
    with browser(certificate=shared.certificate, keep_alive=False) as client:
        for site in prepared.sites:
            client.get(f"{site.base}/xwms/auth", headers=TYPED)
    return prepared.cell.says in (folder / "server0.log").read_text(errors="replace")


def _programs(cell: Cell) -> Path:
    packages = [*APPS[cell.app].split(), *cell.runs_on.packages.split(), *cell.packages.split()]
    if "redis" in cell.store:
        packages.append("xwms-auth[redis]")
    if cell.options.get("XWMS_FLOW") == "oauth2":
        packages.append("xwms-auth[oauth2]")
    return environments.environment(packages, python=cell.python, resolution=cell.resolution)


def _command(cell: Cell, programs: Path, port: int, place: Place) -> list[str]:
    unix = cell.proxy == "nginx-unix-socket"
    module = cell.app
    filled = {
        "bin": str(programs),
        "python": str(programs / "python"),
        "app": f"{module}:app",
        "module": module,
        "port": str(port),
        "bind": f"unix:{place.socket}" if unix else f"127.0.0.1:{port}",
        "socket": str(place.socket),
        "launch": str(HERE / "launch.py"),
        "folder": str(place.folder),
    }
    words = shlex.split(cell.runs_on.command)
    extra = shlex.split(cell.arguments)
    if "{socket}" in cell.arguments:
        words = _without_address(words)
    # Options come before the application, for those programs that read nothing after it.
    at = next((i for i, word in enumerate(words) if word in {"{app}", "wsgi:{app}"}), len(words))
    words[at:at] = extra
    return [word.format(**filled) for word in words]


def _without_address(words: list[str]) -> list[str]:
    """A command without the options that name a TCP address."""
    kept: list[str] = []
    drop = False
    for word in words:
        if not drop and word in {"--port", "-p", "-b", "--listen"}:
            drop = True
        elif drop:
            drop = False
        else:
            kept.append(word)
    return kept


def _environ(prepared: Prepared, shared: World, folder: Path, programs: Path) -> dict[str, str]:
    cell = prepared.cell
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XWMS_", "PYTHON"))}
    session, _, revocation = cell.store.partition("+")
    return {
        **kept,
        **shared.variables,
        "PATH": f"{programs}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": str(HERE / "apps"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MATRIX_PYTHON": str(programs / "python"),
        "MATRIX_APP": f"{cell.app}:app",
        "XWMS_REDIRECT_URI": " ".join(prepared.redirect_uris),
        "XWMS_SESSION_STORE": _address(session, shared, folder),
        "XWMS_REVOCATION_STORE": _address(revocation, shared, folder) if revocation else "",
        **cell.options,
    }


def _of_prefix(prepared: Prepared, environ: Mapping[str, str], number: int) -> dict[str, str]:
    """The variables of one of several applications."""
    prefix = prepared.cell.prefixes[number]
    own = {name: value.format(prefix=prefix, tag=prefix.strip("/")) for name, value in prepared.cell.options.items()}
    return {**environ, **own, "XWMS_REDIRECT_URI": prepared.redirect_uris[number]}


def _address(store: str, shared: World, folder: Path) -> str:
    match store:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{folder}/sessions.sqlite3"
        case "redis" | "redis-unix":
            if shared.redis is None:
                raise CannotBeHad("the program redis-server is not installed")
            return shared.redis.url if store == "redis" else shared.redis.unix_url
        case _:
            return "cookie"
