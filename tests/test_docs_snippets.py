"""What the documentation shows is run: a block that is not says why, in a comment before it.

Applications log a person in (tests/test_docs.py), tests run with the package's plugin, everything else is executed;
lines for a shell are parsed, and those with our own command are checked against it.
"""

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from tests.test_docs import binds_app
from tests.tools.docs_pages import PAGES, ROOT, Block, all_blocks
from tests.tools.site import HTTPS_URI
from xwms_auth.cli.commands import xwms_auth as command_line
from xwms_auth.sandbox import SandboxServer, SandboxSettings

PYTHON = all_blocks("python", "py")
SHELL = all_blocks("shell", "console", "sh", "bash")
DOCUMENTED = ROOT / "tests" / "documented"
"""The applications of which a page speaks without showing them."""


def is_test(block: Block) -> bool:
    return re.search(r"^(async )?def test_", block.code, re.M) is not None


TESTS = [block for block in PYTHON if is_test(block) and not block.reason]
REST = [block for block in PYTHON if not (is_test(block) or block.reason or binds_app(block.code))]


def test_every_python_block_that_is_not_run_says_why():
    silent = [block.where for block in PYTHON if block.reason is not None and len(block.reason) < 20]
    assert silent == []
    assert len([block for block in PYTHON if block.reason]) < len(PYTHON) / 10
    languages = {block.language for block in all_blocks("python", "py", "python3", "pycon", "Python")}
    assert languages == {"python"}  # so that none hides behind another name


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """Those that point an application at a local XWMS that is running."""
    settings = SandboxSettings(redirect_uris=(HTTPS_URI,), domain="app.example", scopes=("userinfo", "useraddresses"))
    with SandboxServer(settings, port=0) as server:
        yield {
            "XWMS_CLIENT_ID": settings.client_id,
            "XWMS_CLIENT_SECRET": settings.client_secret,
            "XWMS_API_URI": f"{server.url}/api/",
            "XWMS_REDIRECT_URI": HTTPS_URI,
            "XWMS_SESSION_SECRET": secrets.token_urlsafe(48),
        }


@pytest.mark.parametrize("block", REST, ids=lambda block: block.where)
def test_every_other_python_block_runs(block, variables, monkeypatch, tmp_path):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(DOCUMENTED))
    module = ModuleType("snippet")
    monkeypatch.setitem(sys.modules, "snippet", module)
    exec(compile("\n" * block.line + block.code, block.where, "exec"), vars(module))


@pytest.mark.parametrize("page", sorted({block.page for block in TESTS}))
def test_the_tests_on_a_page_pass(page, tmp_path):
    """Each with the modules that its page shows above it."""
    shutil.copytree(DOCUMENTED, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shown = [block for block in PYTHON if block.page == page and not block.reason]
    for number, block in enumerate(shown):
        if is_test(block):
            (tmp_path / f"test_{number}.py").write_text(names_of_above(shown[:number]) + block.code, encoding="utf-8")
        elif name := block.file_name:
            path = tmp_path / name
            path.exists() or path.write_text(block.code, encoding="utf-8")
    done = run_pytest(tmp_path)
    expected = sum(len(re.findall(r"^(?:async )?def test_", block.code, re.M)) for block in shown if is_test(block))
    assert f"{expected} passed" in done.stdout, done.stdout + done.stderr


def names_of_above(above: list[Block]) -> str:
    """What a test may use of the first application on its page, as README.md has it in one file."""
    named = next((block.file_name for block in above if block.file_name and not is_test(block)), None)
    return f"from {named.removesuffix('.py')} import *\n" if named else ""


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XWMS_", "PYTEST"))}
    environ |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ["-p", "xwms_auth.testing.plugin", "-p", "anyio.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(folder), *plugins, str(folder)]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


# --- for a shell ---


def lines_of(block: Block) -> str:
    """What is typed: of a console what stands behind a prompt."""
    if block.language != "console":
        return block.code
    return "\n".join(re.findall(r"^\$ (.*(?:\n> .*)*)", block.code, re.M)) + "\n"


def test_the_lines_for_a_shell_can_be_parsed():
    bash = shutil.which("bash")
    assert bash
    assert SHELL
    for block in SHELL:
        done = subprocess.run([bash, "-n"], input=lines_of(block), capture_output=True, text=True, check=False)
        assert done.returncode == 0, (block.where, done.stderr)


def our_commands() -> Iterator[tuple[str, list[str]]]:
    """Where, and the words after `xwms-auth`, of every use of our command in a block or in a sentence."""
    for block in SHELL:
        for line in lines_of(block).replace("\\\n", " ").splitlines():
            yield from uses_in(block.where, line.partition(" #")[0])
    for page in PAGES:
        for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text(encoding="utf-8")):
            if code.startswith("xwms-auth "):
                yield from uses_in(page.name, code)


def uses_in(where: str, line: str) -> Iterator[tuple[str, list[str]]]:
    for found in re.findall(r"(?:^|[\s/(;])xwms-auth ([^)|;>&\"]*)", line):
        yield where, shlex.split(found)


def test_our_command_knows_every_option_that_is_shown():
    found = list(our_commands())
    assert len(found) > 30
    for where, words in found:
        command, arguments = command_line, words
        context = click.Context(command_line, info_name="xwms-auth")
        if words[0] in {"--version", "--help"}:
            continue
        while isinstance(command, click.Group) and arguments:
            name, *arguments = arguments
            assert name in command.commands, (where, words)
            command = command.commands[name]
            context = click.Context(command, info_name=name, parent=context)
        try:
            command.make_parser(context).parse_args(list(arguments))
        except click.UsageError as error:
            pytest.fail(f"{where}: xwms-auth {' '.join(words)}: {error.format_message()}")


def test_make_has_every_target_that_is_shown():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in PAGES:
        for name in re.findall(r"(?:`|^\$ )make ([a-z]+)", page.read_text(encoding="utf-8"), re.M):
            assert name in targets, (page.name, name)
