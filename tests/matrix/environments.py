"""A virtual environment for each set of packages, made with uv and kept below `.matrix/`."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".matrix"
_locks: dict[Path, Lock] = {}
_guard = Lock()
_OURS = "xwms-auth["


class CannotBeHad(Exception):
    """A package or program is not to be had here; the text says which, and why."""


class Conflict(Exception):
    """Packages that a cell needs cannot be installed beside ours; the text says which."""


def environment(packages: Sequence[str], *, python: str, resolution: str = "highest") -> Path:
    """The folder with the programs of an environment that has xwms-auth and `packages`.

    "xwms-auth[flask]" among them is an extra of ours. Raises `CannotBeHad`.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [sorted(packages), python, resolution, project["dependencies"], project["optional-dependencies"]]
    folder = KEPT / "envs" / hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    with _guard:
        lock = _locks.setdefault(folder, Lock())
    with lock:
        if not (folder / "ready").exists():
            _make(folder, packages, python, resolution)
    return folder / "bin"


def _make(folder: Path, packages: Sequence[str], python: str, resolution: str) -> None:
    _uv("venv", "--quiet", "--clear", "--python", str(interpreter(python)), str(folder))
    extras = [word for each in packages if each.startswith(_OURS) for word in each[len(_OURS) : -1].split(",")]
    theirs = [each for each in packages if not each.startswith(_OURS)]
    # The project file as a list of requirements: its own floors are then direct ones, which "lowest-direct" means.
    named = [option for extra in extras for option in ("--extra", extra)]
    target = ("--quiet", "--python", str(folder / "bin" / "python"), "--resolution", resolution)
    _uv("pip", "install", *target, "--requirement", str(ROOT / "pyproject.toml"), *named, *theirs)
    # The code of this checkout, so that a change to it needs no new environment.
    [site] = (folder / "lib").glob("python*/site-packages")
    (site / "xwms_auth").symlink_to(ROOT / "xwms_auth")
    (folder / "ready").touch()


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if not Path(uv).exists():
        raise CannotBeHad("uv is not installed: pip install uv")
    environ = {**os.environ, "UV_CACHE_DIR": str(KEPT / "cache"), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    done = subprocess.run([uv, *arguments], env=environ, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        # Packages that do not go together with ours are our fault, not the registry's.
        kind = Conflict if "No solution found" in done.stderr and "xwms-auth" in done.stderr else CannotBeHad
        raise kind(_reason(done.stderr))


def _reason(said: str) -> str:
    """What went wrong, without the output of a compiler but for its first error."""
    lines = [line.strip(" ×╰─▶│├") for line in said.splitlines() if line.strip() and "warning" not in line]
    built = next((line for line in lines if "ailed to build" in line), "")
    fatal = next((line for line in lines if "error:" in line and line != built and "build" not in line), "")
    return f"{built} {fatal}".strip() if built else " ".join(lines)[:300]


def interpreter(version: str) -> Path:
    """A Python of this version, or the "system"'s, which other users may run. Raises `CannotBeHad`."""
    if version == "system":
        return Path("/usr/bin/python3")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [Path(sys.executable)] if version == f"{sys.version_info.major}.{sys.version_info.minor}" else []
    found += [Path(path) for path in (shutil.which(f"python{version}"),) if path]
    found += sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    for python in found:
        # A shim may be there without the version that it stands for.
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    raise CannotBeHad(f"Python {version} is not installed")


def tool(*names: str) -> str:
    """The path of the first of these programs that is installed. Raises `CannotBeHad`."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        if found := shutil.which(name, path=places):
            return found
    raise CannotBeHad(f"the program {' or '.join(names)} is not installed")
