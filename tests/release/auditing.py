"""Known vulnerabilities of what is installed, as far as an index gives that data; and a bill of materials of the same.

An index that knows nothing gives the same answer as one that has found nothing, and pip-audit ends with success for
both. So it is asked about a release with well-known vulnerabilities too: only where it knows those does silence about
the others mean anything.
"""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.release.building import BIN, Failed, run

KNOWN_TO_BE_VULNERABLE: Final = "jinja2==3.1.2"
"""CVE-2024-22195 and later ones. Nothing of it is installed."""

ACCEPTED: Final[Mapping[str, str]] = {}
"""The id or an alias of a vulnerability that is no reason against a release, and why it is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an index knows. `unknown` is what it had nothing to say about, and is never the same as harmless."""

    audited: int
    vulnerable: tuple[str, ...]
    accepted: tuple[str, ...]
    unknown: tuple[str, ...]


def read_report(report: Any, *, accepted: Mapping[str, str] = ACCEPTED) -> Audit:
    """Read what `pip-audit --format json` prints."""
    audited, vulnerable, let_pass, unknown = 0, list[str](), list[str](), list[str]()
    for one in report["dependencies"]:
        if "skip_reason" in one:
            unknown.append(one["name"])
            continue
        audited += 1
        for found in one["vulns"]:
            names = [found["id"], *found.get("aliases", ())]
            fixed = ", ".join(found.get("fix_versions", ())) or "no version yet"
            line = f"{one['name']} {one['version']}: {' '.join(names)}, fixed in {fixed}"
            (let_pass if any(name in accepted for name in names) else vulnerable).append(line)
    return Audit(audited=audited, vulnerable=tuple(vulnerable), accepted=tuple(let_pass), unknown=tuple(unknown))


def audit(requirements: Iterable[str], *, folder: Path) -> Audit | str:
    """What the index knows about these exact versions, or why it cannot be told."""
    control = _ask([KNOWN_TO_BE_VULNERABLE], folder=folder)
    if isinstance(control, str):
        return control
    if control.unknown:
        return "the index has no data on vulnerabilities, or cannot be reached"
    if not control.vulnerable:
        return f"the index knows no vulnerability of {KNOWN_TO_BE_VULNERABLE}, so that its silence says nothing"
    found = _ask(requirements, folder=folder)
    if isinstance(found, Audit) and not found.audited:
        return "the index knows none of the packages"
    return found


def _ask(requirements: Iterable[str], *, folder: Path) -> Audit | str:
    listed = folder / "audited.txt"
    listed.write_text("".join(f"{one}\n" for one in requirements), encoding="utf-8")
    options = ["--vulnerability-service", "pypi", "--no-deps", "--disable-pip", "--format", "json", "--timeout", "15"]
    done = subprocess.run(
        [BIN / "pip-audit", *options, "--requirement", listed, "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return read_report(json.loads(done.stdout), accepted=ACCEPTED)
    except (ValueError, KeyError, TypeError):
        said = done.stderr.strip().splitlines()
        return f"pip-audit ended with {done.returncode}: {said[-1] if said else 'it said nothing'}"


def installed(commands: Path) -> list[str]:
    """All of an environment but this package, as `name==version`."""
    frozen = run(["uv", "pip", "freeze", "--quiet", "--python", commands / "python"], cwd=commands).splitlines()
    return [line for line in frozen if not line.startswith("xwms-auth")]


def write_bill_of_materials(commands: Path, *, project: Path, file: Path, epoch: str) -> int:
    """CycloneDX JSON of an environment, validated against its schema; how many components it has."""
    of = ["--pyproject", project, "--mc-type", "library"]
    how = ["--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible", "--validate"]
    run(
        [BIN / "cyclonedx-py", "environment", commands / "python", *of, *how, "--output-file", file],
        cwd=file.parent,
        SOURCE_DATE_EPOCH=epoch,
    )
    text = file.read_text(encoding="utf-8")
    if "file:" in text or str(commands.parent) in text:
        raise Failed("the bill of materials names a path of this machine")
    document = json.loads(text)
    components: list[dict[str, str]] = document["components"]  # without the package itself, which the bill is of
    if document["metadata"]["component"]["name"] != "xwms-auth":
        raise Failed("the bill of materials is of something else")
    listed = {one["name"].lower().replace("_", "-") for one in components}
    missing = {line.partition("==")[0].lower().replace("_", "-") for line in installed(commands)} - listed
    if missing:
        raise Failed(f"the bill of materials lacks {', '.join(sorted(missing))}")
    return len(components)
