"""The files of docs/deployment.md work: each server, proxy and service is started from its file, and somebody logs in.

No Docker and no running systemd: what their files say is done by hand, with paths, ports and hosts of this test.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browser.servers import self_signed
from tests.matrix.running import next_port, process, wait_until_answering
from tests.matrix.story import Visited, browser, tell
from tests.tools.requires import program
from xwms_auth.sandbox import SandboxServer, SandboxSettings

EXAMPLES = Path(__file__).parents[1] / "examples"
DEPLOYMENT = EXAMPLES / "deployment"
CALLBACK = "/xwms/validateToken"
BIN = Path(sys.executable).parent


def text_of(name: str) -> str:
    return (DEPLOYMENT / name).read_text()


def plain_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("XWMS_")}


def desk_at(base: str) -> Visited:
    return Visited(base=base, page="/tickets", nobody="Log in")


def visit(base: str, certificate: Path, *processes: subprocess.Popen[bytes]) -> None:
    with browser(certificate=certificate) as client:
        wait_until_answering(client, f"{base}/", processes)
    tell([desk_at(base)], certificate=certificate, keep_alive=False)


# --- systemd and nginx ---


class Unit:
    """A unit file whose places are in a folder of the test; `folder` has what systemd would make."""

    def __init__(self, name: str, folder: Path, application: Path) -> None:
        text = text_of(name).replace("/opt/support-desk/.venv/bin", str(BIN))
        text = text.replace("/opt/support-desk", str(application)).replace("/etc/support-desk", str(folder))
        self.file = folder / "support-desk.service"
        self.file.write_text(text)
        self._places = {"%d": folder, "%S": folder, "%t": folder}
        for made in self.all("StateDirectory") + self.all("RuntimeDirectory"):
            (folder / made).mkdir(exist_ok=True)

    def all(self, key: str) -> list[str]:
        lines = self.file.read_text().splitlines()
        return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]

    def words(self, key: str) -> list[str]:
        text = " ".join(self.all(key))
        for specifier, place in getattr(self, "_places", {}).items():
            text = text.replace(specifier, str(place))
        return shlex.split(text)

    @property
    def environ(self) -> dict[str, str]:
        [settings] = self.words("EnvironmentFile")
        lines = [line for line in Path(settings).read_text().splitlines() if not line.startswith("#")]
        return dict(pair.split("=", 1) for pair in [*lines, *self.words("Environment")])


@dataclass(frozen=True)
class Change:
    """What the page's section on prefixes changes in nginx.conf, the settings and the unit."""

    location: str
    callback: str
    environ: dict[str, str]
    options: list[str]

    @classmethod
    def of(cls, unit_file: str) -> "Change":
        section = (EXAMPLES.parent / "docs" / "deployment.md").read_text()
        section = section.partition("\n## Below a prefix\n")[2].partition("\n## ")[0]
        [location] = re.findall(r"^```nginx\n(.+?)```$", section, re.M | re.S)
        [callback] = re.findall(r"^XWMS_REDIRECT_URI=(\S+)$", section, re.M)
        if "gunicorn" in unit_file:
            return cls(location, callback, dict(re.findall(r"^Environment=(\w+)=(\S+)$", section, re.M)), [])
        [(options, stripping)] = re.findall(r"`uvicorn (.+?)` in the unit, and `(proxy_pass .+?;)`", section)
        return cls(re.sub(r"proxy_pass .+?;", stripping, location), callback, {}, options.split())


@pytest.mark.parametrize("prefixed", [False, True], ids=["root", "prefix"])
@pytest.mark.parametrize(
    ("unit_file", "example"),
    [("support-desk-gunicorn.service", "flask_app"), ("support-desk-uvicorn.service", "starlette_app")],
)
def test_the_unit_behind_the_nginx_of_the_page_logs_a_person_in(unit_file, example, prefixed, tmp_path):
    nginx, public = program("nginx", "/usr/sbin/nginx"), next_port()
    base = f"https://localhost:{public}"
    made = self_signed(tmp_path)
    site, own, change = text_of("nginx.conf"), text_of("settings"), Change.of(unit_file) if prefixed else None
    if change is not None:
        site = re.sub(r"location / \{.+?\}", change.location, site, flags=re.S)
        own = own.replace(f"https://support.example{CALLBACK}", change.callback)
    own = own.replace("https://support.example", base)
    [base] = re.findall(f"^XWMS_REDIRECT_URI=(.+){CALLBACK}$", own, re.M)
    site = site.replace("listen 443", f"listen 127.0.0.1:{public}").replace("/run", str(tmp_path))
    site = site.replace("/etc/ssl/support.example/fullchain.pem", str(made.certificate))
    site = site.replace("/etc/ssl/support.example/privkey.pem", str(made.key))
    temporary = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in "client_body proxy fastcgi uwsgi scgi".split()
    )
    main = (
        f"daemon off; master_process off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {temporary} {site} }}"
    )
    (tmp_path / "nginx.conf").write_text(main)
    command = [nginx, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]

    settings = SandboxSettings(client_id="your-client-id", redirect_uris=(base + CALLBACK,), auto_login="1001")
    with SandboxServer(settings, port=0) as sandbox, ExitStack() as stack:
        (tmp_path / "client-secret").write_text(settings.client_secret + "\n")
        (tmp_path / "session-secret").write_text("s" * 8 + "ession-secret-of-a-test-of-32-bytes\n")
        (tmp_path / "settings").write_text(f"{own}XWMS_API_URI={sandbox.api_url}\n")
        unit = Unit(unit_file, tmp_path, EXAMPLES / example)
        assert {pair.split(":")[1] for pair in unit.words("LoadCredential")} == {
            unit.environ["XWMS_CLIENT_SECRET_FILE"],
            unit.environ["XWMS_SESSION_SECRET_FILE"],
        }
        environ = {**plain_environ(), **unit.environ, **(change.environ if change else {})}
        command_of_unit = unit.words("ExecStart") + (change.options if change else [])
        [folder] = unit.words("WorkingDirectory")
        log = tmp_path / "log"
        server = stack.enter_context(process(command_of_unit, log=log, environ=environ, folder=Path(folder)))
        proxy = stack.enter_context(process(command, log=log, environ=plain_environ(), folder=tmp_path))
        visit(base, made.certificate, server, proxy)


@pytest.mark.parametrize("name", ["support-desk-gunicorn.service", "support-desk-uvicorn.service"])
def test_systemd_finds_no_fault_in_the_unit(name, tmp_path):
    (tmp_path / "settings").touch()
    unit = Unit(name, tmp_path, EXAMPLES / "flask_app")
    command = [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(unit.file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- Docker and Compose ---

NAMES_OF_A_CONTAINER_NETWORK = """
import socket
_here = socket.getaddrinfo
def getaddrinfo(host, *more, **options):
    return _here("127.0.0.1" if host in ("sandbox", "redis") else host, *more, **options)
socket.getaddrinfo = getaddrinfo
"""


class Compose:
    """The services of the compose file, each as a process of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"8000": str(next_port()), "8800": str(next_port()), "6379": str(next_port())}
        self._services = yaml.safe_load(text_of("compose.yaml"))["services"]
        self.dockerfile = [
            line.split(None, 1) for line in text_of("Dockerfile").splitlines() if line and line[0] != "#"
        ]
        (folder / "names").mkdir()
        (folder / "names" / "sitecustomize.py").write_text(NAMES_OF_A_CONTAINER_NETWORK)

    def here(self, text: str) -> str:
        for port, own in self.ports.items():
            text = text.replace(port, own)
        return (
            text.replace("/run/secrets", f"{self.folder}/secrets").replace("/data", str(self.folder)).replace("$$", "$")
        )

    def build(self) -> Path:
        """What the Dockerfile copies, from the context that the compose file names."""
        context = DEPLOYMENT / self._services["app"]["build"]["context"]
        image = self.folder / "image"
        image.mkdir()
        for instruction, rest in self.dockerfile:
            if instruction == "COPY":
                source, target = rest.split()
                copy: Any = shutil.copytree if (context / source).is_dir() else shutil.copy
                copy(context / source, image / target)
        return image

    def command_of(self, instruction: str) -> list[str]:
        [found] = [rest for name, rest in self.dockerfile if name == instruction]
        return [self.here(word) for word in json.loads(found.removeprefix("CMD "))]

    @contextmanager
    def service(self, name: str, *, more: str = "", image: Path) -> Iterator[subprocess.Popen[bytes]]:
        own = {key: self.here(value) for key, value in self._services[name].get("environment", {}).items()}
        fixed = dict(pair.split("=") for key, pair in self.dockerfile if key == "ENV")
        environ = {
            **plain_environ(),
            **{key: self.here(value) for key, value in fixed.items()},
            **own,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "names"),
        }
        asked = self._services[name].get("command")
        command = [self.here(word) for word in asked] if asked else self.command_of("CMD")
        command[-1:] = [command[-1] + more] if command[0] == "sh" else [command[-1], *more.split()]
        with process(command, log=self.folder / f"{name}.log", environ=environ, folder=image) as started:
            yield started


def test_the_services_of_the_compose_file_log_a_person_in(tmp_path):
    program("redis-server")
    compose = Compose(tmp_path)
    image = compose.build()
    (tmp_path / "secrets").mkdir()
    for name in ("client-secret", "session-secret"):
        made = subprocess.run([BIN / "xwms-auth", "secret"], capture_output=True, check=True).stdout
        (tmp_path / "secrets" / name).write_bytes(made)
    with (
        compose.service("redis", more=f" --port {compose.ports['6379']}", image=image) as redis,
        compose.service("sandbox", more=" --auto-login 1001", image=image) as sandbox,
        compose.service("app", image=image) as app,
    ):
        certificate = self_signed(tmp_path).certificate
        with browser(certificate=certificate) as client:
            wait_until_answering(client, f"http://localhost:{compose.ports['8800']}/", [sandbox])
        visit(f"http://localhost:{compose.ports['8000']}", certificate, redis, sandbox, app)
        health = subprocess.run([sys.executable, *compose.command_of("HEALTHCHECK")[1:]], check=False)
        with socket.create_connection(("127.0.0.1", int(compose.ports["6379"]))) as connection:
            connection.sendall(b"DBSIZE\r\n")
            assert connection.recv(100).startswith(b":")
    assert health.returncode == 0
