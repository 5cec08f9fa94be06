"""`xwms-auth scan` on archives that hide something, or ask for more than there is: it is found, or told."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.scanning import SECRET, scan

CONTENT = f"const a = '{SECRET}';".encode()
SCAN = "xwms_auth.cli.scan"


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


# --- tar ---


def header_of(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **attributes: str) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return member.tobuf(tarfile.GNU_FORMAT)


def member_of(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header_of(name, len(content), kind) + content + bytes(-len(content) % 512)


END = bytes(1024)
HIDDEN = member_of("hidden.gz", gzip.compress(CONTENT))
BROKEN = b"\1" + header_of("broken")[1:]
BROKEN_ATTRIBUTES = member_of("pax", b"0 comment=none\n", tarfile.XHDTYPE) + member_of("a", b"a")
LEFT_OUT = member_of("pax", b"21 GNU.sparse.map=0,1\n" + b"23 GNU.sparse.realsize=1\n", tarfile.XHDTYPE)

HIDING_TARS = {
    "behind a broken header": member_of("a", b"a") + BROKEN + HIDDEN + END,
    "behind a cut header": member_of("a", b"a") + header_of("b")[:200],
    "behind broken attributes": member_of("a", b"a") + BROKEN_ATTRIBUTES + HIDDEN + END,
    "in a second tar": member_of("a", b"a") + END + HIDDEN + END,
    "behind one block of zeros": member_of("a", b"a") + bytes(512) + HIDDEN + END,
    "in text behind it": member_of("a", b"a") + END + CONTENT,
    "behind zeros in a folder": header_of("folder", 512, tarfile.DIRTYPE) + bytes(512) + HIDDEN + END,
    **{
        f"in a {what}": member_of("folder", gzip.compress(CONTENT), kind) + member_of("a", b"a") + END
        for what, kind in {"folder": tarfile.DIRTYPE, "pipe": tarfile.FIFOTYPE, "link": tarfile.SYMTYPE}.items()
    },
    "behind the content of a file with holes": LEFT_OUT + member_of("a", b"a" * 2000 + gzip.compress(CONTENT)) + END,
}


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("hidden", HIDING_TARS)
def test_what_a_tar_hides_is_told(tmp_path, hidden, is_compressed):
    content = HIDING_TARS[hidden]
    result = scan_of(tmp_path, gzip.compress(content) if is_compressed else content)
    assert is_told(result, tmp_path)


@pytest.mark.parametrize(
    "content", [member_of("a", b"a") + END, member_of("a", b"a"), member_of("a", b"a") + bytes(9999)]
)
def test_an_ordinary_end_of_a_tar_is_not_told(tmp_path, content):
    (tmp_path / "archive").write_bytes(content)
    assert scan(tmp_path).exit_code == 0


@pytest.mark.parametrize("field", ["uname", "gname", "linkname"])
def test_the_names_beside_the_name_of_a_member_are_searched(tmp_path, field):
    content = header_of("a", kind=tarfile.SYMTYPE, **{field: SECRET}) + END
    assert is_found(scan_of(tmp_path, content), tmp_path)


def test_many_attributes_before_a_member_are_not_read(tmp_path, monkeypatch):
    """Each is short enough, but they stay in memory."""
    monkeypatch.setattr(f"{SCAN}.tars._LONGEST_HEADERS", 10_000)
    attributes = b"".join(member_of("pax", b"1018 k%03d=%s\n" % (n, b"a" * 1007), tarfile.XGLTYPE) for n in range(20))
    assert is_told(scan_of(tmp_path, attributes + member_of("a", b"a") + END), tmp_path, "(ReadError)")


def test_members_behind_a_damaged_one_are_searched(tmp_path):
    content = member_of("a.gz", gzip.compress(os.urandom(300_000))[:200_000]) + member_of("b", CONTENT) + END
    result = scan_of(tmp_path, content)
    assert is_told(result, tmp_path)
    assert f"{tmp_path / 'archive'}!b:1:12: the client secret, plain" in result.stdout


# --- how much may come out ---


def tar_of(content: bytes) -> bytes:
    return member_of("log", content) + END


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lzma.compress(tar_of(bytes(700_000) + CONTENT)), id="a tar.xz"),
        pytest.param(lzma.compress(tar_of(tar_of(bytes(700_000) + CONTENT))), id="a tar in a tar.xz"),
        pytest.param(
            gzip.compress(zip_of(("log", bytes(700_000) + CONTENT), compression=zipfile.ZIP_STORED)),
            id="a zip that compresses nothing",
        ),
    ],
)
def test_what_only_lies_in_an_archive_is_counted_once(tmp_path, monkeypatch, content):
    monkeypatch.setattr(f"{SCAN}.streams._ROOM", 1_000_000)
    monkeypatch.setattr(f"{SCAN}.streams._MOST_TIMES", 1)
    result = scan_of(tmp_path, content)
    assert "not searched" not in result.output
    assert is_found(result, tmp_path)


def test_the_room_is_that_of_the_whole_file_from_the_start(tmp_path, monkeypatch):
    """What is read at first may unpack to more than the rest."""
    monkeypatch.setattr(f"{SCAN}.streams._ROOM", 0)
    monkeypatch.setattr(f"{SCAN}.archives.PIECE", 1 << 16)
    content = member_of("a.gz", gzip.compress(bytes(20 << 20))) + member_of("b", os.urandom(300_000) + CONTENT) + END
    result = scan_of(tmp_path, content)
    assert "not searched" not in result.output
    assert is_found(result, tmp_path)


def test_members_of_a_zip_that_lie_over_each_other_count_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{SCAN}.streams._ROOM", 0)
    content = zip_of(("a", b"a" * 100_000), compression=zipfile.ZIP_STORED)
    start = content.index(b"PK\1\2")
    entry, end = content[start:-22], bytearray(content[-22:])
    end[12:16] = (len(entry) * 200).to_bytes(4, "little")
    result = scan_of(tmp_path, content[:start] + entry * 200 + end)
    newer = is_told(result, tmp_path, "(BadZipFile)")  # from Python 3.12.2 on, zipfile refuses them
    assert newer or is_told(result, tmp_path, "100 times its size")


def test_the_names_of_members_count(tmp_path, monkeypatch):
    """An attribute of the whole tar is one of each member."""
    monkeypatch.setattr(f"{SCAN}.streams._ROOM", 0)
    attribute = member_of("pax", b"50012 comment=%s\n" % (b"a" * 49_996), tarfile.XGLTYPE)
    content = gzip.compress(attribute + header_of("a") * 500 + END)
    assert is_told(scan_of(tmp_path, content), tmp_path, "100 times its size")


def test_a_long_name_is_cut_where_it_is_printed(tmp_path):
    name = f"start/{SECRET}/{'n' * 60_000}/end.js"
    result = scan_of(tmp_path, zip_of((name, CONTENT)))
    lines = [line for line in result.stdout.splitlines() if "archive!start/***/nnn" in line or "nnn/end.js" in line]
    assert len(lines) == 2
    assert max(map(len, lines)) < 400


# --- what is compressed ---


def lzma_of(content: bytes) -> bytes:
    return lzma.compress(content, lzma.FORMAT_ALONE)


def sized_lzma_of(content: bytes) -> bytes:
    """With the size instead of a mark at the end, as the LZMA SDK writes it."""
    return lzma_of(content)[:5] + len(content).to_bytes(8, "little") + lzma_of(content)[13:]


COMPRESSORS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("compress", [lzma_of, sized_lzma_of])
def test_the_older_format_of_xz_is_opened(tmp_path, compress):
    assert is_found(scan_of(tmp_path, compress(CONTENT)), tmp_path)


@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize("padding", [0, 4, (1 << 20) + 4])
def test_a_second_stream_is_searched_also_behind_padding(tmp_path, kind, padding):
    content = COMPRESSORS[kind](b"first") + bytes(padding) + COMPRESSORS[kind](CONTENT) + bytes(padding)
    result = scan_of(tmp_path, content)
    assert is_found(result, tmp_path)
    assert "not searched" not in result.output


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_what_is_compressed_is_known_also_in_short_streams(tmp_path, kind):
    """The mark of a tar is in its middle."""
    compress, content = COMPRESSORS[kind], tar_of(gzip.compress(CONTENT))
    pieces = (content[start : start + 90] for start in range(0, len(content), 90))
    assert is_found(scan_of(tmp_path, b"".join(map(compress, pieces))), tmp_path)


@pytest.mark.parametrize("kind", [*COMPRESSORS, "lzma"])
@pytest.mark.parametrize("rest", [CONTENT, bytes(8) + CONTENT, b"x"], ids=["text", "text behind zeros", "one byte"])
def test_what_follows_a_compressed_stream_is_told(tmp_path, kind, rest):
    compress = COMPRESSORS.get(kind, lzma_of)
    assert is_told(scan_of(tmp_path, compress(b"first") + rest), tmp_path, "damaged")


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_compressed_stream_that_ends_too_early_is_told_and_what_there_is_searched(tmp_path, kind):
    content = COMPRESSORS[kind](CONTENT + os.urandom(2 << 20))
    result = scan_of(tmp_path, content[:-10])
    assert is_told(result, tmp_path, "EOFError")
    assert is_found(result, tmp_path)


def test_xz_takes_no_more_memory_than_is_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{SCAN}.streams._MOST_MEMORY", 4 << 20)
    content = lzma.compress(CONTENT, preset=6)
    assert is_told(scan_of(tmp_path, content), tmp_path, "it needs more than 4 MiB of memory")


# --- zip ---


def directory_entry(content: bytes) -> int:
    return content.index(b"PK\1\2")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_is_longer_than_the_directory_says_is_read_whole(tmp_path, compression):
    whole = b"a" * 100 + CONTENT + os.urandom(3 << 20)
    content = bytearray(zip_of(("a", whole), compression=compression))
    entry = directory_entry(content)
    content[entry + 16 : entry + 20] = zlib.crc32(whole[:100]).to_bytes(4, "little")
    content[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    result = scan_of(tmp_path, content)
    assert is_told(result, tmp_path, "(BadZipFile)")
    assert is_found(result, tmp_path)


def test_a_folder_that_says_it_is_empty_is_read(tmp_path):
    content = bytearray(zip_of(("folder/", CONTENT)))
    entry = directory_entry(content)
    content[entry + 24 : entry + 28] = bytes(4)
    assert is_found(scan_of(tmp_path, content), tmp_path)


def test_a_name_is_searched_beyond_a_nul(tmp_path):
    name = f"a/{SECRET}.js"
    content = zip_of((name, b"a")).replace(name.encode(), name.replace("/", "\0").encode())
    assert is_found(scan_of(tmp_path, content), tmp_path)


def test_a_member_is_not_unpacked_at_once(tmp_path):
    content = zip_of(("a", b"".join(os.urandom(4096) * 256 for _ in range(16))), compression=zipfile.ZIP_LZMA)
    assert len(content) < 500_000
    tracemalloc.start()
    try:
        result = scan_of(tmp_path, content)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "not searched" not in result.output
    assert most < 24 << 20


def test_two_zip_files_in_one_are_told(tmp_path):
    """The directory of the second one is that of both."""
    content = zip_of(("a", CONTENT)) + zip_of(("b", b"b"))
    assert is_told(scan_of(tmp_path, content), tmp_path, "leaves out the first members")


def test_what_is_before_the_members_of_a_zip_is_searched(tmp_path):
    assert is_found(scan_of(tmp_path, b"Cr24" + CONTENT + zip_of(("b", b"b"))), tmp_path)


@pytest.mark.parametrize(
    "start",
    [
        *(b"#!/bin/sh\nexec java -jar $0\nexit\n", b"\xef\xbb\xbf#!/bin/sh\n", b"@echo off\r\n", b"@ECHO OFF\r\n"),
        *(b"MZ\x90\0" * 99, b"\x7fELF\2\1\1" * 99),
        *(
            mark + bytes(99)
            for mark in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe")
        ),
    ],
)
def test_programs_are_searched_and_a_zip_behind_them(tmp_path, start):
    result = scan_of(tmp_path, start + zip_of(("app.js", CONTENT)))
    assert f"{tmp_path / 'archive'}!app.js:1:12: the client secret, plain" in result.stdout
    result = scan_of(tmp_path, start + CONTENT)
    assert is_found(result, tmp_path)
    assert "not searched" not in result.output


def test_members_behind_a_damaged_program_are_searched(tmp_path):
    end = bytearray(zip_of(("a", b"a"))[-22:])
    split = b"PK\6\7" + (1).to_bytes(4, "little") + bytes(12)  # the directory is in another part
    content = member_of("a.exe", b"MZ" + bytes(99) + split + end) + member_of("b", CONTENT) + END
    result = scan_of(tmp_path, content)
    assert is_told(result, tmp_path, "archive!a.exe: it is a damaged")
    assert is_found(result, tmp_path)


@pytest.mark.parametrize("gap", [0, (1 << 20) - 40, (1 << 20) - 20])
def test_two_zip_files_behind_a_program_are_told(tmp_path, gap):
    """Also where a piece ends in the mark of a member."""
    content = b"#!/bin/sh\n" + b"\n" * gap + zip_of(("a", CONTENT))
    result = scan_of(tmp_path, content + zip_of(("b", b"b")))
    assert is_told(result, tmp_path, "leaves out the first members")
    assert not is_told(scan_of(tmp_path, content), tmp_path)


def test_a_program_that_knows_the_mark_of_a_member_has_no_second_zip(tmp_path):
    (tmp_path / "archive").write_bytes(b"\x7fELF" + bytes(99) + b"PK\3\4PK\1\2" + bytes(99) + zip_of(("a", b"a")))
    assert scan(tmp_path).exit_code == 0


def test_a_program_that_only_knows_zip_files_is_none(tmp_path):
    (tmp_path / "libzip.so").write_bytes(b"\x7fELF" + bytes(99) + b"PK\5\6PK\1\2" + bytes(999))
    assert scan(tmp_path).exit_code == 0


def test_a_damaged_zip_behind_a_program_is_told(tmp_path):
    content = zip_of(("app.js", CONTENT)).replace(b"PK\1\2", b"PK\1\3")
    assert is_told(scan_of(tmp_path, b"MZ" + content), tmp_path, "damaged")


@pytest.mark.parametrize("start", [b"", b"MZ"])
def test_a_directory_of_millions_of_members_is_not_read(tmp_path, monkeypatch, start):
    monkeypatch.setattr(f"{SCAN}.archives._LONGEST_DIRECTORY", 1 << 20)
    content = zip_of(("a", b"a"))
    entry = content[directory_entry(content) : -22]
    end = bytearray(content[-22:])
    end[12:16] = (len(entry) * 30_000).to_bytes(4, "little")
    content = start + content[: directory_entry(content)] + entry * 30_000 + end
    assert is_told(scan_of(tmp_path, content), tmp_path, "its directory is too long")


# --- what is not opened ---


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\x50\x2a\x4d\x18", "Zstandard"),
        (b"\x5f\x2a\x4d\x18", "Zstandard"),
        (b"!<arch>\ndebian-binary   1342943816", "a package of Debian"),
        (b"\xed\xab\xee\xdb\3", "a package of RPM"),
        (b"MSCF\0\0\0\0", "a Cabinet file"),
        (b"LZIP\1\x0c", "lzip"),
        (b"hsqs" + bytes(24) + b"\4\0\0\0", "a SquashFS"),
        (b"PACK\0\0\0\2\0\0\0\1", "a pack of git"),
        (b"# v2 git bundle\n", "a bundle of git"),
        (b"# v3 git bundle\n", "a bundle of git"),
        (b"\x02\x21\x4c\x18", "LZ4"),
        (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    ],
)
def test_a_format_that_is_not_opened_is_told(tmp_path, start, what):
    assert is_told(scan_of(tmp_path, start + os.urandom(99)), tmp_path, what)


def test_a_library_of_objects_is_no_package(tmp_path):
    assert is_found(scan_of(tmp_path, b"!<arch>\n" + b"a.o/" + CONTENT), tmp_path)


@pytest.mark.parametrize("start", [b"BZhang,Wei", b"LZIP is", b"MSCF: a list", b"hsqs, sqsh", b"PACK the", b"MZ, ELF"])
def test_a_text_that_begins_with_the_letters_of_a_mark_is_text(tmp_path, start):
    (tmp_path / "archive").write_bytes(start + b" and other words of a table\n" * 40)
    assert scan(tmp_path).exit_code == 0
    assert is_found(scan_of(tmp_path, start + b" and " + CONTENT), tmp_path)


def tar_with(*names: str) -> bytes:
    return b"".join(member_of(name, b"a") for name in names) + END


def zip_with(*names: str) -> bytes:
    return zip_of(*((name, b"a") for name in names))


@pytest.mark.parametrize("archive_with", [tar_with, zip_with])
@pytest.mark.parametrize(
    "folder", [".git/", "./.git/", "app/.git/", "shop.git/", "app/.git/modules/part/", "a/.GIT/", "a\\.git\\"]
)
def test_a_git_repository_in_an_archive_is_told_once(tmp_path, archive_with, folder):
    content = archive_with("app.js", f"{folder}HEAD", f"{folder}objects/pack/a.pack", f"{folder}objects/ab/cd")
    result = scan_of(tmp_path, content)
    assert is_told(result, tmp_path, "it has a git repository: unpack it, and search that with --git")
    assert result.output.count("not searched") == 1


STORED = (
    "objects/pack/pack-0a1b.idx",
    f"objects/0a/{'1b' * 19}",
    f"objects/0a/{'1b' * 31}",
    "OBJECTS/pack/pack-0a1b.idx",
)


@pytest.mark.parametrize("archive_with", [tar_with, zip_with])
@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("folder", ["", "./", "mirror/", "mirror\\"])
def test_a_bare_repository_in_an_archive_is_told(tmp_path, archive_with, folder, stored):
    result = scan_of(tmp_path, archive_with("app.js", f"{folder}HEAD", folder + stored))
    assert is_told(result, tmp_path, "it has a git repository: unpack it, and search that with --git")


def test_a_folder_that_only_sounds_like_git_is_none(tmp_path):
    (tmp_path / "archive").write_bytes(zip_with("app/.github/objects/a", ".gitignore", "objects/a"))
    assert scan(tmp_path).exit_code == 0


# --- folders and git ---


def test_a_search_of_nothing_is_no_success(tmp_path):
    result = scan(tmp_path)
    assert result.exit_code == 1
    assert f"not searched: {tmp_path}: there is nothing in it to search" in result.output
    (tmp_path / "app.js").write_bytes(CONTENT)
    assert scan(tmp_path, "--exclude", "*.js").exit_code == 1


def test_a_link_to_a_folder_outside_is_told(tmp_path):
    """What it leads to is deployed, by whatever follows links."""
    site, shared = tmp_path / "site", tmp_path / "shared"
    for folder in (site / "assets", shared):
        folder.mkdir(parents=True)
        (folder / "app.js").write_bytes(b"clean")
    (site / "within").symlink_to(site / "assets")
    assert scan(site).exit_code == 0
    (site / "outside").symlink_to(shared)
    result = scan(site)
    assert result.exit_code == 1
    assert f"not searched: {site / 'outside'}: it is a link to a folder outside" in result.output
    assert scan(site, shared).exit_code == 0
    assert scan(site, "--exclude", "outside").exit_code == 0
    (site / "outside").unlink()
    (site / ".git" / "assets").mkdir(parents=True)
    (site / "within .git").symlink_to(site / ".git" / "assets")
    assert scan(site).exit_code == 1


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("config", "remote.origin.url", f"https://a:{SECRET}@example.com/a.git"), "settings of git"),
        (("branch", f"use-{SECRET}"), "names of branches and tags"),
        (("tag", SECRET), "names of branches and tags"),
    ],
)
def test_the_settings_and_branches_of_a_repository_are_searched(tmp_path, command, what):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "--message", "first"), command):
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)
    result = scan("--git", tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path} (its {what}):" in result.stdout


def test_a_bare_repository_is_told_unless_git_searches_it(tmp_path):
    bare = tmp_path / "mirror.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True, capture_output=True)
    for path in (tmp_path, bare):
        result = scan(path)
        assert result.exit_code == 1
        assert f"not searched: {bare}: it is a bare git repository" in result.output
    assert scan("--git", bare).exit_code == 0
