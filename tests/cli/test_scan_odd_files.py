"""`xwms-auth scan` on what builds, images and attackers leave: odd archives, odd names, and repositories with gaps."""

import base64
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.cli.scanning import SECRET, scan
from xwms_auth._core.base.crypto.leak_patterns import LeakPatterns
from xwms_auth._core.base.models import Secret

CONTENT = f"const a = '{SECRET}';".encode()


def zip_of(*members: tuple[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return whole.getvalue()


def old_tar_of(content: bytes) -> bytes:
    """As tar wrote it before there was a standard: without a mark, so that only the checksum tells it."""
    member = tarfile.TarInfo("dist.zip")
    member.size = len(content)
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT)[:512])
    header[257:265], header[148:156] = bytes(8), b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % 512) + bytes(1024)


def tar_of_unknown_type(content: bytes) -> bytes:
    """tar unpacks what it does not know as a file."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        member = tarfile.TarInfo("app.js")
        member.type, member.size = b"Z", len(content)
        archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def zip_with_comment(content: bytes) -> bytes:
    whole = io.BytesIO(zip_of(("a", b"1")))
    with zipfile.ZipFile(whole, "a") as archive:
        archive.comment = content
    return whole.getvalue()


def zip_with_extra(content: bytes) -> bytes:
    whole, member = io.BytesIO(), zipfile.ZipInfo("a")
    member.extra = b"\xfe\xca" + len(content).to_bytes(2, "little") + content
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(member, b"1")
    return whole.getvalue()


def zip_behind_no_name(content: bytes) -> bytes:
    whole, member = io.BytesIO(), zipfile.ZipInfo("a")
    member.filename = ""
    with zipfile.ZipFile(whole, "w") as archive:
        archive.open(member, "w").close()
        archive.writestr("app.js", content)
    return whole.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(zip_behind_no_name(CONTENT), id="a zip with a member that has no name"),
        pytest.param(tar_of_unknown_type(CONTENT), id="a tar with a member of an unknown type"),
        pytest.param(zip_with_comment(CONTENT), id="the comment of a zip"),
        pytest.param(zip_with_extra(CONTENT), id="an extra field of a zip"),
        pytest.param(zip_of(("folder/", CONTENT)), id="a zip with a folder that has content"),
        pytest.param(b"#!/usr/bin/env python3\n" + zip_of(("app.js", CONTENT)), id="an application of zipapp or pex"),
        pytest.param(b"Cr24" + bytes(30) + zip_of(("app.js", CONTENT)), id="an extension of a browser"),
        pytest.param(old_tar_of(zip_of(("app.js", CONTENT))), id="a tar without a mark"),
        pytest.param(
            json.dumps(json.dumps(base64.encodebytes(b"x" * 45 + CONTENT).decode())).encode(),
            id="base64 in lines, in the source map of a string",
        ),
    ],
)
def test_what_builds_make_is_opened(tmp_path, content):
    (tmp_path / "built").write_bytes(content)
    assert ": the client secret, " in scan(tmp_path).stdout


def nested(levels: int) -> bytes:
    content = CONTENT
    for _ in range(levels):
        content = zip_of(("a", content))
    return content


def with_encrypted_member() -> bytes:
    content = bytearray(zip_of(("first", b"hello"), ("second", CONTENT)))
    content[6] |= 1
    content[content.find(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "is_found"),
    [
        pytest.param(nested(9), False, id="nested too deep"),
        pytest.param(
            zip_of(("\u00e9", CONTENT)).replace("\u00e9".encode(), b"\xff\xfe"), False, id="a name in no code"
        ),
        pytest.param(b"7z\xbc\xaf\x27\x1c" + bytes(40), False, id="an archive of another kind"),
        pytest.param(with_encrypted_member(), True, id="one member is encrypted"),
        pytest.param(old_tar_of(CONTENT)[:-1025] + b"x", True, id="cut off behind the secret"),
    ],
)
def test_a_part_that_cannot_be_read_is_said_and_the_others_are_searched(tmp_path, content, is_found):
    (tmp_path / "archive").write_bytes(content)
    result = scan(tmp_path)
    assert result.exit_code == 1
    assert (": the client secret, " in result.stdout) is is_found
    if not is_found:
        assert "not searched" in result.output


def sparse_tar_of(size: int) -> bytes:
    """One hole, which no byte of the archive stands for."""
    names = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": str(size)}
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.size, member.pax_headers = 512, names
        archive.addfile(member, io.BytesIO(b"0\n".ljust(512, b"\0")))
    return whole.getvalue()


ZEROS = bytes(8 << 20)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(ZEROS), id="gzip"),
        pytest.param(lzma.compress(ZEROS), id="xz"),
        pytest.param(zip_of(*((str(number), ZEROS) for number in range(3))), id="zip"),
        pytest.param(gzip.compress(gzip.compress(ZEROS)), id="gzip in gzip"),
        pytest.param(gzip.compress(zip_of(("a", bytes(1000))) + ZEROS), id="no zip in gzip"),
        pytest.param(sparse_tar_of(8 << 20), id="a tar with a hole"),
    ],
)
def test_what_would_unpack_to_more_than_a_disk_holds_is_left_and_the_others_are_searched(
    tmp_path, monkeypatch, content
):
    monkeypatch.setattr("xwms_auth.cli.scan.streams._ROOM", 1 << 20)
    (tmp_path / "bomb").write_bytes(content)
    (tmp_path / "later.js").write_bytes(CONTENT)
    result = scan(tmp_path)
    assert result.output.count("not searched") == 1
    assert f"not searched: {tmp_path / 'bomb'}: it unpacks to more than 100 times its size" in result.output
    assert f"{tmp_path / 'later.js'}:1:12: the client secret, plain" in result.output
    assert result.exit_code == 1


def test_a_large_archive_of_ordinary_files_is_searched_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("xwms_auth.cli.scan.streams._ROOM", 1 << 20)
    lines = "".join(f"<li>{number}</li>" for number in range(200_000)).encode()
    (tmp_path / "dist.zip").write_bytes(zip_of(("first", lines), ("second", lines), ("third", lines + CONTENT)))
    result = scan(tmp_path)
    assert "third:1:" in result.output
    assert "not searched" not in result.output


def test_a_name_of_many_megabytes_in_a_tar_is_not_read(tmp_path):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"comment": "a" * (17 << 20)}
        archive.addfile(member)
    (tmp_path / "archive").write_bytes(gzip.compress(whole.getvalue()))
    result = scan(tmp_path)
    assert f"not searched: {tmp_path / 'archive'}: it is a damaged or encrypted archive (ReadError)" in result.output


def test_an_object_of_git_that_unpacks_to_so_much_is_left_and_the_others_are_searched(origin, monkeypatch):
    monkeypatch.setattr("xwms_auth.cli.scan.streams._ROOM", 1 << 20)
    (origin / "bomb.gz").write_bytes(gzip.compress(ZEROS))
    _git(origin, "add", "--all")
    result = scan("--git", origin)
    assert result.output.count("unpacks to more than 100 times its size") == 2  # the file, and the object
    assert "app.js in commit" in result.stdout


def test_a_folder_that_cannot_be_listed_is_not_called_clean(tmp_path):
    """Here its path is too long. Rights are no obstacle where tests run as root."""
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(20):
            Path("n" * 250).mkdir()
            os.chdir("n" * 250)
        Path("app.js").write_bytes(CONTENT)
    finally:
        os.chdir(before)
    result = scan(tmp_path)
    assert result.exit_code == 1
    assert "not searched" in result.output


def test_names_neither_show_the_secret_nor_reach_the_terminal(tmp_path):
    (tmp_path / SECRET).mkdir()
    (tmp_path / SECRET / "a").write_bytes(zip_of((f"{SECRET}\x1b]0;owned\x07", CONTENT)))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[2J\n\xe2\x80\xae.js")).write_bytes(CONTENT)
    result = scan(tmp_path)
    assert result.stdout.count(": the client secret, plain") >= 4
    assert SECRET not in result.output
    assert not [character for character in result.output.replace("\n", "") if not character.isprintable()]
    assert f"{tmp_path}/***/a!***\\x1b]0;owned\\x07:1:12: the client secret, plain" in result.stdout


@pytest.mark.parametrize("secret", ["\\" * 16 + "abcd", "a\\\\b\\c" * 5, "&amp;" * 5, "%25" * 8, "a" * 32])
def test_no_text_makes_the_search_slow(secret):
    patterns = LeakPatterns(Secret(secret))
    assert patterns.is_in(secret.encode())
    assert patterns.is_in(json.dumps(json.dumps(secret)).encode())
    began = time.process_time()
    for part in (b"\\", b"&amp;", b"%25", b"a", b"a\\\\\\\\", b"Q\\n"):
        patterns.is_in(part * 2000 + b"-")
    assert time.process_time() - began < 5


def test_a_secret_with_spaces_is_looked_for_whole_and_several_stand_in_lines(tmp_path):
    (tmp_path / "file").write_text("one of our secrets\nanother secret here\n")
    variables = {"XWMS_CLIENT_SECRET": None, "XWMS_CLIENT_SECRET_FILE": str(tmp_path / "file")}
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "app.js").write_text("our secrets are here")
    assert scan(dist, **variables).exit_code == 0
    (dist / "app.js").write_text("another%20secret%20here")
    assert scan(dist, **variables).exit_code == 1


# --- git ---


def _git(where: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=where, check=True, capture_output=True)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository whose first commit had the secret."""
    folder = tmp_path / "origin"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    _git(folder, "config", "uploadpack.allowFilter", "true")
    for content in (CONTENT, b"clean"):
        (folder / "app.js").write_bytes(content)
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", "--message", "work")
    return folder


@pytest.mark.parametrize(
    ("options", "told"), [(("--depth=1",), "shallow clone"), (("--filter=blob:none",), "partial clone")]
)
def test_a_clone_that_lacks_history_is_not_called_clean(origin, tmp_path, options, told):
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", *options, f"file://{origin}", str(clone))
    result = scan("--git", clone)
    assert result.exit_code == 1
    assert told in result.output


def test_a_repository_runs_no_command_of_its_own(origin, tmp_path):
    """Its settings may name one with which to fetch what it lacks. Older versions of git know no GIT_NO_LAZY_FETCH."""
    older, ran = tmp_path / "bin", tmp_path / "ran"
    older.mkdir()
    (older / "git").write_text(f'#!/bin/sh\nunset GIT_NO_LAZY_FETCH\nexec {shutil.which("git")} "$@"\n')
    (older / "git").chmod(0o755)
    lacking = {"extensions.partialClone": "origin", "remote.origin.promisor": "true", "remote.origin.url": "ssh://a/b"}
    for name in ("core.sshCommand", "core.fsmonitor", "core.pager", "gpg.program", "diff.external"):
        lacking[name] = f"touch {ran}; false"
    for name, value in {"core.repositoryFormatVersion": "1", "log.showSignature": "true", **lacking}.items():
        _git(origin, "config", name, value)
    tree = subprocess.run(["git", "rev-parse", "HEAD^{tree}"], cwd=origin, capture_output=True, text=True, check=True)
    digest = tree.stdout.strip()
    (origin / ".git" / "objects" / digest[:2] / digest[2:]).unlink()
    result = scan("--git", origin, PATH=f"{older}:{os.environ['PATH']}")
    assert result.exit_code == 1
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["bare", "worktree"])
def test_other_kinds_of_repositories_are_searched(origin, tmp_path, kind):
    other = tmp_path / "other"
    if kind == "bare":
        _git(tmp_path, "clone", "--quiet", "--bare", str(origin), str(other))
    else:
        _git(origin, "worktree", "add", "--quiet", str(other))
    assert "app.js in commit" in scan("--git", other).stdout


def test_a_hook_of_another_repository_does_not_change_which_is_searched(origin, tmp_path):
    _git(tmp_path, "init", "--quiet", "another")
    result = scan("--git", origin, GIT_DIR=str(tmp_path / "another" / ".git"))
    assert "app.js in commit" in result.stdout


def test_a_damaged_archive_in_a_repository_is_said(origin):
    (origin / "dist.gz").write_bytes(gzip.compress(os.urandom(5000))[:3000])
    _git(origin, "add", "--all")
    result = scan("--git", origin)
    assert result.exit_code == 1
    assert "not searched: blob " in result.output
    assert "app.js in commit" in result.stdout


def test_a_damaged_object_is_said_and_the_others_are_searched(origin):
    (origin / "other.js").write_bytes(b"other")
    _git(origin, "add", "--all")
    digest = hashlib.sha1(b"blob 5\0other", usedforsecurity=False).hexdigest()
    stored = origin / ".git" / "objects" / digest[:2] / digest[2:]
    stored.chmod(0o600)
    stored.write_bytes(b"garbage")
    result = scan("--git", origin)
    assert result.exit_code == 1
    assert f"not searched: object {digest}" in result.output
    assert "app.js in commit" in result.stdout
