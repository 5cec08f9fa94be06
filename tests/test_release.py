"""What a release rests on: the version, the audit that says when it cannot tell, the workflow, and its pages."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import xwms_auth
from tests.release import auditing
from tests.release.__main__ import HEADING, faults_of_version, main
from tests.release.auditing import KNOWN_TO_BE_VULNERABLE, audit, read_report

ROOT = Path(__file__).parents[1]
WORKFLOW = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
NAME, _, VERSION = KNOWN_TO_BE_VULNERABLE.partition("==")


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    wrong, _ = faults_of_version(changelog, version=version, module=xwms_auth.__version__, tag=None)
    assert wrong == []
    assert all(HEADING.fullmatch(line) for line in changelog.splitlines() if line.startswith("## "))


@pytest.mark.parametrize(
    ("heading", "module", "tag", "wrong", "still_open"),
    [
        ("## 1.2.0 (2027-01-02)", "1.2.0", "v1.2.0", [], []),
        ("## 1.2.0 (2027-01-02)", "1.2.0", None, [], []),
        ("## 1.2.0 (unreleased)", "1.2.0", "v1.2.0", [], ["unreleased"]),
        ("## 1.1.0 (2027-01-02)", "1.2.0", None, ["CHANGELOG.md is 1.1.0"], []),
        ("# Changelog", "1.2.0", None, ["CHANGELOG.md is none"], []),
        ("## 1.2.0 (soon)", "1.2.0", None, ["CHANGELOG.md is none"], []),
        ("## 1.2.0 (2027-01-02)", "1.1.0", None, ["__version__ is 1.1.0"], []),
        ("## 1.2.0 (2027-01-02)", "1.2.0", "1.2.0", ["the tag is 1.2.0"], []),
        ("## 1.2.0 (2027-01-02)", "1.2.0", "v1.3.0", ["the tag is v1.3.0"], []),
    ],
)
def test_a_version_that_is_not_the_same_everywhere_is_no_release(heading, module, tag, wrong, still_open):
    found = faults_of_version(heading, version="1.2.0", module=module, tag=tag)
    for expected, told in zip((wrong, still_open), found, strict=True):
        assert len(told) == len(expected)
        assert all(part in one for part, one in zip(expected, told, strict=True))


def test_a_tag_of_another_version_is_refused_before_anything_is_built(capsys):
    assert main(["--tag", "v99.0.0"]) == 1
    assert "the tag is v99.0.0" in capsys.readouterr().err


# --- the audit ---


def found(name: str, version: str, *vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": version, "vulns": list(vulnerabilities)}


CONTROL = found(NAME, VERSION, {"id": "PYSEC-1", "fix_versions": ["3.1.3"], "aliases": ["CVE-2024-22195"]})
UNKNOWN = {"name": NAME, "skip_reason": "Dependency not found on PyPI and could not be audited"}
FLAW = {"id": "GHSA-1", "fix_versions": ["2.0"], "aliases": ["CVE-2027-1"]}


@pytest.fixture
def index(monkeypatch, tmp_path):
    """Lets pip-audit print these, one after the other."""

    def says(*printed: Any) -> Any:
        answers = iter(printed)

        def run(*_: Any, **__: Any) -> Any:
            one = next(answers)
            text = one if isinstance(one, str) else json.dumps({"dependencies": one, "fixes": []})
            return subprocess.CompletedProcess([], 0, stdout=text, stderr="Connection refused")

        monkeypatch.setattr(auditing.subprocess, "run", run)
        return audit(["idna==3.10"], folder=tmp_path)

    return says


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (["Connection refused"], "pip-audit ended with 0: Connection refused"),
        ([[UNKNOWN]], "cannot be reached"),
        # A mirror: it knows the package, and of no vulnerability at all.
        ([[found(NAME, VERSION)]], "its silence says nothing"),
        ([[CONTROL], [UNKNOWN]], "knows none of the packages"),
        ([[CONTROL], ""], "pip-audit ended"),
    ],
)
def test_an_index_that_does_not_know_is_never_taken_for_one_that_has_found_nothing(index, printed, told):
    assert told in index(*printed)


def test_an_index_that_knows_is_believed(index):
    clean = index([CONTROL], [found("idna", "3.10")])
    assert (clean.audited, clean.vulnerable, clean.unknown) == (1, (), ())
    flawed = index([CONTROL], [found("idna", "3.10", FLAW), UNKNOWN])
    assert flawed.vulnerable == ("idna 3.10: GHSA-1 CVE-2027-1, fixed in 2.0",)
    assert flawed.unknown == (NAME,)


def test_a_vulnerability_is_accepted_by_name_alone():
    report = {"dependencies": [found("idna", "3.10", FLAW), found("h11", "0.16", {"id": "GHSA-2"})]}
    read = read_report(report, accepted={"CVE-2027-1": "a reason"})
    assert [line.split(":")[0] for line in read.accepted] == ["idna 3.10"]
    assert read.vulnerable == ("h11 0.16: GHSA-2, fixed in no version yet",)


# --- nothing is published from here ---


def test_without_check_nothing_is_built_and_it_says_why():
    assert shutil.which("make")
    done = subprocess.run(["make", "-C", ROOT, "release", "CHECK=0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make release CHECK=1" in done.stderr
    assert done.stdout.count("\n") <= 2  # of make itself


@pytest.mark.parametrize(
    "tag",
    ["v1.2.3", "v1';touch${IFS}owned;'", 'v1";touch${IFS}owned;"', "v1$(touch${IFS}owned)", "v1`touch${IFS}owned`"],
)
def test_the_name_of_a_tag_is_no_command(tmp_path, tag):
    """Whoever may push tags, and nothing to `main`, would otherwise run commands in the build."""
    ran, programs = tmp_path / "ran", tmp_path / "bin"
    programs.mkdir()
    for name in ("uv", "python"):
        (programs / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {ran}\n')
        (programs / name).chmod(0o755)
    stamp = tmp_path / "installed"
    stamp.touch()
    places = [f"BIN={programs}", f"RELEASE={tmp_path}", f"STAMP={stamp}"]
    # Elsewhere, so that what runs leaves nothing here.
    command = ["make", "-f", ROOT / "Makefile", "release", "CHECK=1", *places]
    (tmp_path / "pyproject.toml").touch()
    os.utime(tmp_path / "pyproject.toml", (0, 0))
    environ = {name: value for name, value in os.environ.items() if name != "TAG"}

    def asked(*arguments: str, **variables: str) -> list[str]:
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env={**environ, **variables}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return ran.read_text().splitlines()

    assert asked()[-2:] == ["-m", "tests.release"]
    assert asked(TAG=tag)[-4:] == ["-m", "tests.release", "--tag", tag]
    assert not (tmp_path / "owned").exists()
    assert asked("TAG=v1.2.3")[-4:] == ["-m", "tests.release", "--tag", "v1.2.3"], "as a person types it"


def steps(job: str) -> list[dict[str, Any]]:
    return yaml.safe_load(WORKFLOW)["jobs"][job]["steps"]


def test_the_workflow_holds_no_secret_and_pins_what_it_uses():
    assert "secrets." not in WORKFLOW
    assert "password" not in WORKFLOW
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    used = [step["uses"] for job in jobs for step in steps(job) if "uses" in step]
    assert len(used) == len(re.findall(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", WORKFLOW, re.M))


def test_the_workflow_publishes_what_was_checked_and_a_second_person_approves():
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    assert yaml.safe_load(WORKFLOW)["permissions"] == {}
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert jobs["publish"]["environment"] == "release"
    assert (jobs["publish"]["needs"], jobs["page"]["needs"]) == ("build", "publish")
    assert jobs["publish"]["permissions"] == {"id-token": "write", "attestations": "write"}
    assert jobs["page"]["permissions"] == {"contents": "write"}
    assert [step["uses"].split("@")[0] for step in steps("page") if "uses" in step] == ["actions/download-artifact"]
    (command,) = [step for step in steps("build") if "make" in step.get("run", "")]
    assert (command["run"], command["env"]) == ("make release CHECK=1", {"TAG": "${{ github.ref_name }}"})
    assert not any(
        "checkout" in step.get("uses", "") or "make" in step.get("run", "")
        for job in ("publish", "page")
        for step in steps(job)
    )


def test_security_md_supports_the_version_that_there_is():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"the newest minor version, {'.'.join(xwms_auth.__version__.split('.')[:2])} today" in text


def test_security_md_counts_the_attacks_as_their_table_does():
    table = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    count = len(re.findall(r"^\| [A-Z]{2}-\d{2} \|", table, re.M))
    assert f"a table of {count} attacks" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_link_of_security_md_leads_somewhere():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", text)
    assert links
    for place, anchor in links:
        page = (ROOT / place).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", page, re.M)
        known = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in known, f"{place}#{anchor}"
