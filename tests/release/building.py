"""The distributions: built twice, checked, and tried as somebody who installs them has them."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

BIN: Final = Path(sys.executable).parent

LONG_AGO: Final = "1580601600"
"""The time that hatchling takes where nobody gives one: for a copy without a history."""


class Failed(Exception):
    """What is wrong, in a sentence or with the output of the command that found it."""


def run(command: Sequence[str | Path], *, cwd: Path, **variables: str) -> str:
    """The output of a command. Raises `Failed` with it."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("XWMS_", "PYTHON"))}
    path = {"PATH": os.pathsep.join([str(BIN), os.environ["PATH"]])}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**mine, **path, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{Path(command[0]).name} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def time_of_the_last_commit(root: Path) -> str:
    """SOURCE_DATE_EPOCH: what is built of one commit has one time in it, whenever that is."""
    try:
        return run(["git", "log", "-1", "--format=%ct"], cwd=root).strip()
    except (Failed, OSError):
        return LONG_AGO


def build(root: Path, *, into: Path, epoch: str) -> dict[str, str]:
    """The source and the binary distribution: name to SHA-256."""
    run(["python", "-m", "build", "--installer", "uv", "--outdir", into], cwd=root, SOURCE_DATE_EPOCH=epoch)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(into.iterdir())}


def build_again(source: Path, *, below: Path, epoch: str) -> dict[str, str]:
    """The same from the source distribution alone: another folder, other times and modes of all files, another umask.

    So the source distribution is also known to have all that it is built of.
    """
    below.mkdir()
    with tarfile.open(source) as archive:
        archive.extractall(below, filter="data")
    (unpacked,) = below.iterdir()
    for file in unpacked.rglob("*"):
        if file.is_file():
            file.chmod(file.stat().st_mode & 0o700)
            os.utime(file, (0, 1_000_000_000))
    before = os.umask(0o077)
    try:
        return build(unpacked, into=below / "again", epoch=epoch)
    finally:
        os.umask(before)


def make_environment(place: Path, *requirements: str) -> Path:
    """A new environment with these; the folder of its commands."""
    run(["uv", "venv", "--quiet", "--python", sys.executable, place], cwd=place.parent)
    run(["uv", "pip", "install", "--quiet", "--python", place / "bin/python", *requirements], cwd=place.parent)
    return place / "bin"


def try_bare(wheel: Path, *, below: Path) -> None:
    """Without extras it is imported without a warning, and the command says which extra it needs."""
    commands = make_environment(below / "bare", str(wheel))
    run([commands / "python", "-W", "error", "-c", "import xwms_auth"], cwd=below)
    try:
        run([commands / "xwms-auth", "secret"], cwd=below)
    except Failed as failed:
        if "pip install 'xwms-auth[cli]'" in str(failed):
            return
        raise
    raise Failed("xwms-auth works without its extra `cli`, or says nothing of it")


def try_project(wheel: Path, *, below: Path, variables: Mapping[str, str]) -> str:
    """What the quick start promises, with nothing but the wheel: a new project, its tests, and a login over HTTP."""
    commands = make_environment(below / "project", f"{wheel}[flask,cli,sandbox]", "pytest")
    run([commands / "xwms-auth", "new", "flask", "desk"], cwd=below)
    desk = below / "desk"
    run([commands / "python", "-m", "pytest", "-q"], cwd=desk, **variables)
    return run([commands / "xwms-auth", "dev", "app:app", "--check"], cwd=desk, **variables).splitlines()[-1]


def empty(folder: Path) -> Path:
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
