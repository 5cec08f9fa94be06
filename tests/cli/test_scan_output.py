"""`xwms-auth scan`: what it prints, how much of it, and which paths it takes."""

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.scanning import SECRET, scan

OTHER = "b8Yu0wL4eXfYn2vScQr5"


# --- how much is told ---


def test_a_file_that_is_full_of_a_secret_is_told_a_hundred_times_and_another_secret_is_still_found(tmp_path):
    content = f"{SECRET}\n".encode() * 200_000 + OTHER.encode()
    (tmp_path / "log.gz").write_bytes(gzip.compress(content))
    began = time.process_time()
    result = scan(tmp_path, XWMS_SESSION_SECRET=OTHER)
    assert time.process_time() - began < 5
    lines = [line for line in result.stdout.splitlines() if line.startswith(str(tmp_path))]
    assert lines[99:] == [
        f"{tmp_path / 'log.gz'}:100:1: the client secret, plain",
        f"{tmp_path / 'log.gz'}: the client secret, more than 100 times",
        f"{tmp_path / 'log.gz'}:200001:1: the session secret, plain",
    ]


@pytest.mark.parametrize("count", [100, 101])
def test_a_hundred_places_are_all_told(tmp_path, count):
    (tmp_path / "log").write_text(f"{SECRET}\n" * count)
    assert ("more than 100 times" in scan(tmp_path).stdout) is (count > 100)


# --- what may not be shown ---


def test_a_path_that_is_not_there_does_not_show_the_secret(tmp_path):
    result = scan(tmp_path / f"app-{SECRET}.js")
    assert result.exit_code == 2
    assert f"Path '{tmp_path}/app-***.js' does not exist" in result.output


def test_a_link_that_leads_nowhere_is_told_and_the_others_are_searched(tmp_path):
    (tmp_path / f"a-{SECRET}.js").symlink_to("/nowhere/at/all")
    (tmp_path / "b.js").write_text(SECRET)
    result = scan(*sorted(tmp_path.iterdir()))
    assert f"not searched: {tmp_path}/a-***.js: it is neither a file nor a folder" in result.output
    assert f"{tmp_path / 'b.js'}:1:1: " in result.stdout


def test_nothing_of_a_longer_secret_is_shown(tmp_path):
    longer = f"{SECRET}TAIL"
    (tmp_path / f"a-{longer}.js").write_text(longer)
    assert "TAIL" not in scan(tmp_path, XWMS_CLIENT_SECRET=None, XWMS_SESSION_SECRET=f"{SECRET} {longer}").output


def test_a_name_that_the_output_has_no_characters_for_loses_no_finding(tmp_path):
    (tmp_path / "prijs€.js").write_text(SECRET)
    result = subprocess.run(
        [sys.executable, "-m", "xwms_auth.cli", "scan", str(tmp_path)],
        env=os.environ | {"XWMS_CLIENT_SECRET": SECRET, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 1
    assert b"prijs\\u20ac.js:1:1: the client secret, plain" in result.stdout
    assert result.stderr == b""


# --- which paths ---


def test_a_pipe_or_device_that_is_named_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.js").write_text(SECRET)
    result = scan(tmp_path / "pipe", "/dev/zero", tmp_path / "a.js")
    assert f"not searched: {tmp_path / 'pipe'}: it is neither a file nor a folder" in result.output
    assert "not searched: /dev/zero: it is neither" in result.output
    assert f"{tmp_path / 'a.js'}:1:1: " in result.stdout


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="shells have another way")
def test_the_output_of_another_command_is_searched():
    read, write = os.pipe()
    os.write(write, SECRET.encode())
    os.close(write)
    try:
        assert f"/dev/fd/{read}:1:1: the client secret, plain" in scan(f"/dev/fd/{read}").stdout
    finally:
        os.close(read)


def test_a_file_that_is_named_can_be_left_out_as_with_grep(tmp_path):
    (tmp_path / "a.env").write_text(SECRET)
    (tmp_path / "a.js").write_text("clean")
    assert scan(*sorted(tmp_path.iterdir())).exit_code == 1
    assert scan(*sorted(tmp_path.iterdir()), "--exclude", "*.env").exit_code == 0


def test_folders_that_lie_very_deep_are_searched(tmp_path):
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1300):
            Path("a").mkdir()
            os.chdir("a")
        Path("app.js").write_text(SECRET)
    finally:
        os.chdir(before)
    result = scan(tmp_path)
    subprocess.run(["rm", "-rf", str(tmp_path / "a")], check=True)  # the removal of pytest fails, too
    assert "app.js:1:1: the client secret, plain" in result.stdout


def test_a_closed_output_is_no_traceback(tmp_path):
    (tmp_path / "app.js").write_text(SECRET)
    result = subprocess.run(
        ["sh", "-c", '"$0" -m xwms_auth.cli scan "$1" >&-', sys.executable, str(tmp_path)],
        env=os.environ | {"XWMS_CLIENT_SECRET": SECRET},
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (1, b"")


def test_the_same_trouble_is_told_once(tmp_path):
    (tmp_path / "nowhere").symlink_to("/nowhere/at/all")
    result = scan(tmp_path / "nowhere", tmp_path / "nowhere")
    assert result.output.count("not searched") == 1
    assert "but 1 could not be searched" in result.output
