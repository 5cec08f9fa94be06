"""Builds and checks what a release would publish, and publishes nothing: `make release CHECK=1`. See docs/releasing.md.

A fault ends it with 1. What only stands in the way of publishing, such as a change that is not committed, is told at
the end; with `--tag`, as the workflow has it, that is a fault too.
"""

import argparse
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from tests.release.auditing import audit, installed, write_bill_of_materials
from tests.release.building import (
    Failed,
    build,
    build_again,
    empty,
    make_environment,
    run,
    time_of_the_last_commit,
    try_bare,
    try_project,
)

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
HEADING: Final = re.compile(r"^## (?P<version>\S+) \((?P<date>unreleased|\d{4}-\d\d-\d\d)\)$", re.M)
SAME_FILES: Final = "W002"
"""check-wheel-contents: files that are twice in the wheel. The starters share a style sheet and pictures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Every step, a line each."""
    parser = argparse.ArgumentParser(prog="make release CHECK=1", description=__doc__)
    parser.add_argument("--tag", help="the tag of the release, such as v0.1.0: nothing may be open then")
    asked = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            still_open = _check(Path(folder), tag=asked.tag)
    except Failed as failed:
        print(f"\nNot fit for a release: {failed}", file=sys.stderr)
        return 1
    if still_open:
        print("\nBefore it is published:")
        print("".join(f"  - {one}\n" for one in still_open), end="")
    return 1 if still_open and asked.tag else 0


def faults_of_version(changelog: str, *, version: str, module: str, tag: str | None) -> tuple[list[str], list[str]]:
    """What is wrong with the version, and what is only still open."""
    wrong, still_open = list[str](), list[str]()
    heading = HEADING.search(changelog)
    if heading is None or heading["version"] != version:
        told = heading["version"] if heading else "none"
        wrong.append(f"pyproject.toml has version {version}, and the newest in CHANGELOG.md is {told}")
    elif heading["date"] == "unreleased":
        still_open.append(f"CHANGELOG.md says that {version} is unreleased: write the date")
    if module != version:
        wrong.append(f"pyproject.toml has version {version}, and xwms_auth.__version__ is {module}")
    if tag is not None and tag != f"v{version}":
        wrong.append(f"the tag is {tag}, and the version {version} has v{version}")
    return wrong, still_open


def _check(folder: Path, *, tag: str | None) -> list[str]:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    module = re.search(r'^__version__ = "(.+)"$', (ROOT / "xwms_auth/__init__.py").read_text(encoding="utf-8"), re.M)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    wrong, still_open = faults_of_version(changelog, version=version, module=module[1] if module else "none", tag=tag)
    if wrong:
        raise Failed("; ".join(wrong))
    _say("version", f"{version} in pyproject.toml, in the package and in CHANGELOG.md")
    still_open += _changes()

    dist, epoch = empty(ROOT / "dist"), time_of_the_last_commit(ROOT)
    once = _timed("build", lambda: build(ROOT, into=dist, epoch=epoch))
    source, wheel = (next(dist.glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    again = _timed("build again", lambda: build_again(source, below=folder / "elsewhere", epoch=epoch))
    if once != again:
        raise Failed(f"two builds differ: {once} and {again}")
    _say("reproducible", f"two builds in two folders, with the time {epoch}, have the same hashes")
    run(["twine", "check", "--strict", *once], cwd=dist)
    run(["check-wheel-contents", "--ignore", SAME_FILES, wheel], cwd=dist)
    _say("metadata", "twine and check-wheel-contents find nothing")

    _timed("without extras", lambda: try_bare(wheel, below=folder))
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    _say("a new project", _timed("a new project", lambda: try_project(wheel, below=folder, variables=home)))

    commands = make_environment(folder / "all", f"{wheel}[all,opentelemetry]")
    bill = empty(ROOT / "build/sbom") / f"xwms-auth-{version}.cdx.json"
    options = {"project": ROOT / "pyproject.toml", "file": bill, "epoch": epoch}
    count = _timed("bill of materials", lambda: write_bill_of_materials(commands, **options))
    _say("bill of materials", f"{count} components, valid CycloneDX 1.6: {bill.relative_to(ROOT)}")
    still_open += _audit(installed(commands), folder)

    print(f"\nWould be published as version {version}:")
    for file in (source, wheel):
        print(f"  {file.name}  {file.stat().st_size} bytes\n    sha256 {once[file.name]}")
    print(f"  and beside it {bill.name}, with attestations for all three")
    return still_open


def _changes() -> list[str]:
    try:
        changed = run(["git", "status", "--porcelain"], cwd=ROOT).splitlines()
    except (Failed, OSError):
        return ["this is no clone, so that nobody can tell which commit it is"]
    if not changed:
        _say("tree", "nothing that is not committed")
        return []
    names = ", ".join(line[3:] for line in changed[:5]) + (", …" if len(changed) > 5 else "")
    return [f"commit or take away what is not committed ({names}): it is in this build, and in no commit"]


def _audit(requirements: Sequence[str], folder: Path) -> list[str]:
    found = _timed("audit", lambda: audit(requirements, folder=folder))
    if isinstance(found, str):
        _say("audit", f"NOT DONE: {found}")
        return ["no index has told about known vulnerabilities here: this is no result, good or bad"]
    for one in found.accepted:
        _say("audit", f"accepted: {one}")
    if found.vulnerable:
        raise Failed("known vulnerabilities in what is installed:\n" + "\n".join(found.vulnerable))
    if found.unknown:
        _say("audit", f"the index knows nothing of {', '.join(found.unknown)}")
        return [f"nobody has told whether these have known vulnerabilities: {', '.join(found.unknown)}"]
    _say("audit", f"no known vulnerability in {found.audited} packages, by an index that knows others")
    return []


def _say(what: str, text: str) -> None:
    print(f"{what:<18} {text}", flush=True)


def _timed(what: str, work: Callable[[], T]) -> T:
    began = time.monotonic()
    done = work()
    _say(what, f"{time.monotonic() - began:.1f} s")
    return done


if __name__ == "__main__":
    raise SystemExit(main())
