"""`xwms-auth scan` on archives that hide something, or ask for more than there is: it is found, or told."""

import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from xwms_auth.cli.commands import xwms_auth

SECRET = "q7Zt9vK3dWeXm1uRbPq4"
CONTENT = f"const a = '{SECRET}';".encode()
SOURCES = "xwms_auth.cli.scan_sources"


def scan(*arguments: str | Path) -> Result:
    environ = {"XWMS_SESSION_SECRET": None, "XWMS_CLIENT_SECRET_FILE": None, "XWMS_CLIENT_SECRET": SECRET}
    result = CliRunner().invoke(xwms_auth, ["scan", *map(str, arguments)], env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert SECRET not in result.output
    return result


def scan_of(folder: Path, content: bytes) -> Result:
    """Whatever is told of the archive, the file behind it is searched."""
    (folder / "archive").write_bytes(content)
    (folder / "later.js").write_bytes(CONTENT)
    result = scan(folder)
    assert f"{folder / 'later.js'}:1:12: the client secret, plain" in result.stdout
    return result


def zip_of(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return whole.getvalue()


def is_told(result: Result, folder: Path, why: str = "") -> bool:
    return result.exit_code == 1 and f"not searched: {folder / 'archive'}" in result.output and why in result.output


def is_found(result: Result, folder: Path) -> bool:
    return any(
        line.startswith(str(folder / "archive")) and ": the client secret, " in line
        for line in result.stdout.splitlines()
    )


# --- memory ---


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to RLIMIT_AS")
def test_an_archive_that_asks_for_more_memory_than_there_is_ends_nothing(tmp_path):
    content = bytearray(zip_of(("a", b"a" * 100), compression=zipfile.ZIP_LZMA))
    dictionary = content.index(b"\x5d\x00\x00") + 1
    content[dictionary : dictionary + 4] = (2 << 30).to_bytes(4, "little")
    (tmp_path / "archive").write_bytes(content)
    (tmp_path / "later.js").write_bytes(CONTENT)
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "from xwms_auth.cli.commands import xwms_auth; xwms_auth()"
    )
    result = subprocess.run(
        [sys.executable, "-c", limited, "scan", str(tmp_path)],
        env=os.environ | {"XWMS_CLIENT_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"{tmp_path / 'archive'}!a: it needs more memory than there is" in result.stderr
    assert f"{tmp_path / 'later.js'}:1:12: the client secret, plain" in result.stdout
