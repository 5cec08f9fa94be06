"""`xwms-auth scan`: the client secret in what browsers, images and clones get."""

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from xwms_auth.cli.commands import xwms_auth

# With what each escape changes: a quote, a slash, a plus, an ampersand, a percent sign.
SECRET = "q7/Zt+9v&K3%dW'e\"Xm1<u8RbP"
BYTES = SECRET.encode()
ALIGNMENTS = {f"base64 after {before} bytes": base64.b64encode(b"id:"[:before] + BYTES + b"}") for before in range(3)}

FORMS = {
    "plain": {"as it is": BYTES},
    "URL-escaped": {
        "a query": quote(SECRET, safe="").encode(),
        "a query in a query": quote(quote(SECRET, safe=""), safe="").encode(),
        "every byte": "".join(f"%{byte:02x}" for byte in BYTES).encode(),
    },
    "JSON-escaped": {
        "JSON": json.dumps({"secret": SECRET}).encode(),
        "JSON in a string of JSON": json.dumps(json.dumps({"secret": SECRET})).encode(),
        "JSON of PHP": json.dumps(SECRET).replace("/", "\\/").encode(),
        "JSON for a script element": json.dumps(SECRET).replace("<", "\\u003c").replace("&", "\\u0026").encode(),
        "JavaScript": "".join(f"\\x{byte:02X}" for byte in BYTES).encode(),
        "JavaScript with braces": "".join(f"\\u{{{byte:x}}}" for byte in BYTES).encode(),
    },
    "HTML-escaped": {
        "an attribute": html.escape(SECRET).encode(),
        "an attribute in an attribute": html.escape(html.escape(SECRET)).encode(),
        "decimal": "".join(f"&#{byte};" for byte in BYTES).encode(),
        "hexadecimal": "".join(f"&#x{byte:X};" for byte in BYTES).encode(),
    },
    "hex": {
        "lower": BYTES.hex().encode(),
        "upper": BYTES.hex().upper().encode(),
        "with colons": BYTES.hex(":").encode(),
    },
    "base64": ALIGNMENTS
    | {
        f"{name}, for URLs": text.translate(bytes.maketrans(b"+/", b"-_")).rstrip(b"=")
        for name, text in ALIGNMENTS.items()
    }
    | {f"{name}, in a query": quote(text.decode(), safe="").encode() for name, text in ALIGNMENTS.items()}
    | {
        "HTTP Basic": base64.b64encode(b"client-1:" + BYTES),
        "in lines": base64.encodebytes(b"x" * 50 + BYTES + b"y" * 50),
        "in lines of a string": json.dumps(base64.encodebytes(b"x" * 50 + BYTES).decode()).encode(),
        "a source map in a script": base64.b64encode(b'{"sourcesContent":["const s = `' + BYTES + b'`"]}'),
    },
    "UTF-16": {"little": SECRET.encode("utf-16-le"), "big": SECRET.encode("utf-16-be")},
}
PLANTED = [
    pytest.param(form, text, id=f"{form}: {name}") for form, cases in FORMS.items() for name, text in cases.items()
]


def scan(*arguments: str | Path, **variables: str | None) -> Result:
    environ = {"XWMS_SESSION_SECRET": None, "XWMS_CLIENT_SECRET_FILE": None, "XWMS_CLIENT_SECRET": SECRET} | variables
    result = CliRunner().invoke(xwms_auth, ["scan", *map(str, arguments)], env=environ)
    assert SECRET not in result.output
    return result


@pytest.mark.parametrize(("form", "text"), PLANTED)
def test_a_secret_is_found_in_each_form_with_its_place(tmp_path, form, text):
    bundle = tmp_path / "app.js"
    bundle.write_bytes(b'"use strict";\nconst a = "' + text + b'";\n')
    result = scan(tmp_path)
    lines = result.output.splitlines()
    assert result.exit_code == 1
    assert [line for line in lines if line.startswith(f"{bundle}:2:") and line.endswith(f": the client secret, {form}")]


@pytest.mark.parametrize(("form", "text"), PLANTED)
def test_another_text_is_not_the_secret(tmp_path, form, text):
    """What is found is the whole of it, but for the bits that a last character of base64 shares with what follows."""
    for other in (SECRET.replace("W", "V"), SECRET.replace("q7", "q8"), SECRET.replace("RbP", "RcP")):
        assert scan(_with(tmp_path, text), XWMS_CLIENT_SECRET=other).exit_code == 0


def _with(folder: Path, content: bytes) -> Path:
    (folder / "bundle").write_bytes(content)
    return folder


@pytest.mark.parametrize("gap", range(-30, 31, 5))
def test_a_secret_is_found_where_pieces_are_cut(tmp_path, gap):
    _with(tmp_path, b"x" * ((1 << 20) + gap) + BYTES + b"x" * (1 << 20) + b"\n" + BYTES)
    result = scan(tmp_path)
    found = [line for line in result.output.splitlines() if "the client secret" in line]
    assert [line.split(":")[1:3] for line in found] == [["1", str((1 << 20) + gap + 1)], ["2", "1"]]


# --- what holds files ---


def tar_of(**members: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def zip_of(**members: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return whole.getvalue()


HOLDERS = {
    "an image whose layers are tars": lambda text: tar_of(layer=tar_of(env=text)),
    "an image whose layers are compressed": lambda text: tar_of(blob=gzip.compress(tar_of(env=text))),
    "a compressed image": lambda text: gzip.compress(tar_of(layer=tar_of(env=text))),
    "a compressed source map": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "a wheel": lambda text: zip_of(module=b"1", env=text),
    "a wheel in an image": lambda text: tar_of(layer=gzip.compress(tar_of(wheel=zip_of(env=text)))),
    "the name of a member": lambda text: tar_of(**{f"static/{text.decode()}.js": b""}),
    "the name of a member of a zip": lambda text: zip_of(**{f"static-{text.decode()}": b""}),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("size", [0, 3 << 20], ids=["small", "larger than a piece"])
def test_archives_are_opened(tmp_path, holder, size):
    if holder.startswith("the name"):
        size = 0
    secret = "k" * 4 + "0123456789abcdef"
    with_it, without = tmp_path / "with", tmp_path / "without"
    for folder, text in ((with_it, secret), (without, "nothing-of-the-kind-x")):
        folder.mkdir()
        (folder / "thing").write_bytes(HOLDERS[holder](os.urandom(size) + text.encode()))
    assert scan(with_it, XWMS_CLIENT_SECRET=secret).exit_code == 1
    assert scan(without, XWMS_CLIENT_SECRET=secret).exit_code == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gzip.compress(b"x" * 5000)[:-20], "damaged"),
        (gzip.compress(tar_of(a=b"x" * 5000))[:60], "damaged"),
        (tar_of(a=gzip.compress(b"y" * 500)[:-9]), "damaged"),
        (zip_of(a=os.urandom(5000))[:200], "damaged"),
        (b"\x28\xb5\x2f\xfd" + b"z" * 99, "Zstandard"),
    ],
    ids=["gzip", "tar in gzip", "gzip in tar", "zip", "zstd"],
)
def test_what_cannot_be_opened_is_not_called_clean(tmp_path, content, why):
    result = scan(_with(tmp_path, content))
    assert result.exit_code == 1
    assert f"not searched: {tmp_path / 'bundle'}" in result.output
    assert why in result.output


def test_folders_are_walked_links_do_not_lead_round_and_pipes_do_not_hang(tmp_path):
    deep = tmp_path / "site" / "assets" / ".hidden"
    deep.mkdir(parents=True)
    (deep / "app.js.map").write_bytes(BYTES)
    (deep / "app.js").write_bytes(b"clean")
    (deep / "round").symlink_to(tmp_path)
    (deep / "nowhere").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    result = scan(tmp_path)
    assert result.output.count("the client secret, plain") == 1
    assert scan(tmp_path, "--exclude", "*.map").exit_code == 0


# --- git ---


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "--quiet")
    return tmp_path


def _git(where: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *arguments], cwd=where, check=True, capture_output=True, text=True).stdout


def _commit(where: Path, message: str) -> str:
    _git(where, "add", "--all")
    _git(where, "commit", "--quiet", "--allow-empty", "--message", message)
    return _git(where, "rev-parse", "--short=12", "HEAD").strip()


def test_a_secret_that_a_later_commit_took_out_is_found_with_its_commit(repository):
    (repository / "settings.py").write_bytes(b"one\nSECRET = '" + base64.b64encode(BYTES) + b"'\n")
    first = _commit(repository, "first")
    (repository / "settings.py").write_text("one\n")
    _commit(repository, "second")
    _git(repository, "gc", "--quiet")  # into a pack
    assert scan(repository).exit_code == 0
    result = scan("--git", repository)
    assert result.exit_code == 1
    assert f"the client secret, base64 (settings.py in commit {first})" in result.output


@pytest.mark.parametrize(
    "where", ["a message", "a tag", "an archive", "a commit that was undone", "an object of nothing"]
)
def test_everything_that_a_clone_may_have_is_searched(repository, where):
    (repository / "app.py").write_text("print()\n")
    _commit(repository, "first")
    match where:
        case "a message":
            _commit(repository, f"use {SECRET}")
        case "a tag":
            _git(repository, "tag", "-a", "v1", "-m", f"use {SECRET}")
        case "an archive":
            (repository / "dist.tar.gz").write_bytes(gzip.compress(tar_of(env=BYTES)))
            _commit(repository, "second")
        case "a commit that was undone":
            (repository / "env").write_bytes(BYTES)
            _commit(repository, "second")
            _git(repository, "reset", "--quiet", "--hard", "HEAD~1")
        case _:
            (repository / "env").write_bytes(BYTES)
            _git(repository, "hash-object", "-w", "env")
            (repository / "env").unlink()
    assert scan(repository).exit_code == 1 if where == "an archive" else scan(repository).exit_code == 0
    assert scan("--git", repository).exit_code == 1


def test_a_clean_repository_is_clean_and_what_is_none_is_said(repository, tmp_path_factory):
    (repository / "app.py").write_text("print()\n")
    _commit(repository, "first")
    result = scan("--git", repository)
    assert (result.exit_code, result.output) == (0, "Nothing found in 1 file and 3 git objects.\n")
    none = tmp_path_factory.mktemp("none")
    result = scan("--git", none)
    assert result.exit_code == 1
    assert f"{none} is not in a git repository" in result.output


# --- what to look for ---


def test_the_secrets_of_files_and_all_session_secrets_are_looked_for(tmp_path):
    for name, content in {
        "a": b"client-secret-of-a-file",
        "b": b"session-secret-one",
        "c": b"session-secret-two",
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "bundle.js").write_bytes(content)
    file = tmp_path / "secret"
    file.write_text("client-secret-of-a-file\n")
    variables = {"XWMS_CLIENT_SECRET": None, "XWMS_CLIENT_SECRET_FILE": str(file)}
    variables["XWMS_SESSION_SECRET"] = "session-secret-one session-secret-two"
    for name, what in {"a": "client secret", "b": "session secret", "c": "session secret"}.items():
        result = scan(tmp_path / name, **variables)
        assert (result.exit_code, f"the {what}, plain" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"XWMS_CLIENT_SECRET": None}, "there is no secret to look for: set XWMS_CLIENT_SECRET"),
        ({"XWMS_CLIENT_SECRET": " "}, "there is no secret to look for"),
        (
            {"XWMS_CLIENT_SECRET": None, "XWMS_CLIENT_SECRET_FILE": "/nowhere/at/all"},
            "XWMS_CLIENT_SECRET_FILE cannot be read",
        ),
    ],
)
def test_without_a_secret_nothing_is_called_clean(tmp_path, variables, message):
    result = scan(tmp_path, **variables)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize("variable", ["XWMS_CLIENT_SECRET_FILE", "XWMS_SESSION_SECRET_FILE"])
@pytest.mark.parametrize(("before", "after"), [("\ufeff", "\r\n"), ("", "\0"), ("", "\u200b\n"), ("\u00a0", "\ufeff ")])
def test_what_an_editor_adds_to_a_secret_is_not_looked_for(tmp_path, variable, before, after):
    (tmp_path / "secret").write_text(f"{before}{SECRET}{after}")
    variables = {"XWMS_CLIENT_SECRET": None, variable: str(tmp_path / "secret")}
    assert "secret, plain" in scan(_with(_folder(tmp_path), BYTES), **variables).output


def _folder(where: Path) -> Path:
    (where / "dist").mkdir()
    return where / "dist"


@pytest.mark.parametrize(
    "value", ["secret-\u200b-of-the-client", "secret-\x7f-of-the-client", "secret-ä-of-the-client"]
)
def test_a_client_secret_that_the_application_refuses_is_not_looked_for(tmp_path, value):
    result = scan(_with(tmp_path, value.encode()), XWMS_CLIENT_SECRET=value)
    assert result.exit_code == 1
    assert "a secret of XWMS_CLIENT_SECRET has characters other than printable ASCII" in result.output
    assert value not in result.output


def test_a_short_secret_is_said_to_be_found_by_chance(tmp_path):
    result = scan(_with(tmp_path, b"nothing"), XWMS_CLIENT_SECRET="zq-jx")
    assert result.exit_code == 0
    assert "so short that some of what is found may be chance" in result.output
