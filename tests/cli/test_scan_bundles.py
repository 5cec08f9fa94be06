"""`xwms-auth scan` over front ends that a real bundler has built: the accidents by which a secret gets into one."""

import base64
import html
import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from tests.tools.requires import missing, program
from xwms_auth.cli.commands import xwms_auth

HERE = Path(__file__).parent
SECRET = "q7/Zt+9v&K3%dW'e\"Xm1<u8RbP`v$2"

APP = """
import {useState} from "react";
import {createRoot} from "react-dom/client";
export const App = ({me}) => <p title="Support &amp; desk">{me.name} {useState(0)[0]}</p>;
createRoot(document.body).render(<App me={{name: "Anna"}} />);
"""
REQUEST = 'fetch("/xwms/me", {headers: {"X-Client-Secret": %s}});'
LINES = f"XWMS_CLIENT_ID=desk\nXWMS_CLIENT_SECRET={SECRET}\n"

PLAIN = ("plain", "JSON-escaped")  # the bundler chooses the quotes, and so what has to be escaped
PLANTED: dict[str, tuple[str, dict[str, object], str, tuple[str, ...]]] = {
    "a variable of the build": (
        REQUEST % "process.env.XWMS_CLIENT_SECRET",
        {"define": {"process.env.XWMS_CLIENT_SECRET": json.dumps(SECRET)}},
        "js",
        PLAIN,
    ),
    "a file of settings in JSON": ('import all from "./settings.json"; console.log(all);', {}, "js", PLAIN),
    "a file as an address": ('import file from "./settings.env"; fetch(file);', {}, "js", (*PLAIN, "URL-escaped")),
    "a file in base64": ('import file from "./settings.key"; console.log(atob(file));', {}, "js", ("base64",)),
    "a file as bytes": ('import file from "./settings.bin"; console.log(file);', {}, "js", ("base64",)),
    "a template": ('import page from "./page.html"; document.body.innerHTML = page;', {}, "js", ("HTML-escaped",)),
    "an address": (f'fetch("/token?client_secret={quote(SECRET, safe="")}");', {}, "js", ("URL-escaped",)),
    "HTTP Basic": (
        REQUEST % f'"Basic {base64.b64encode(b"id:" + SECRET.encode()).decode()}"',
        {},
        "js",
        ("base64",),
    ),
    "hexadecimal": (f'console.log("{SECRET.encode().hex()}");', {}, "js", ("hex",)),
    "a source map beside it, of a line that is not built": (
        f"const unused = {json.dumps(SECRET)}; fetch('/xwms/me');",
        {"sourcemap": "external"},
        "js.map",
        PLAIN,
    ),
    "a source map in it, of a line that is not built": (
        f"// {SECRET}\nfetch('/xwms/me');",
        {"sourcemap": "inline"},
        "js",
        ("base64",),
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each front end, and one for that without a secret."""
    if not (HERE.parent / "browser" / "node_modules" / "esbuild").is_dir():
        missing("esbuild (npm ci --prefix tests/browser)")
    folder = tmp_path_factory.mktemp("front ends")
    for name in ("settings.env", "settings.key", "settings.bin"):
        (folder / name).write_text(LINES)
    (folder / "settings.json").write_text(json.dumps({"client_id": "desk", "client_secret": SECRET}))
    (folder / "page.html").write_text(f'<input type="hidden" name="secret" value="{html.escape(SECRET)}">')
    (folder / "app.jsx").write_text(APP)
    bundles: list[dict[str, object]] = [{"entry": "app.jsx", "out": "clean/app.js", "sourcemap": True}]
    for number, (source, options, _, _) in enumerate(PLANTED.values()):
        (folder / f"{number}.jsx").write_text(f'import "./app.jsx";\n{source}\n')
        bundles.append({"entry": f"{number}.jsx", "out": f"dist-{number}/app.js", **options})
    (folder / "bundles.json").write_text(json.dumps(bundles))
    subprocess.run([program("node"), str(HERE / "build_bundles.mjs"), str(folder)], check=True)
    return folder


def scan(folder: Path) -> Result:
    environ = {"XWMS_CLIENT_SECRET": SECRET, "XWMS_CLIENT_SECRET_FILE": None, "XWMS_SESSION_SECRET": None}
    result = CliRunner().invoke(xwms_auth, ["scan", str(folder)], env=environ)
    assert SECRET not in result.output
    return result


@pytest.mark.parametrize("accident", PLANTED)
def test_a_secret_is_found_in_a_bundle_however_it_got_there(built: Path, accident: str):
    number, (_, _, where, forms) = list(PLANTED).index(accident), PLANTED[accident]
    result = scan(built / f"dist-{number}")
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if ": the client secret, " in line]
    assert [line for line in lines if f"app.{where}:" in line and line.endswith(forms)], result.output


def test_nothing_is_found_in_the_same_front_end_without_it(built: Path):
    result = scan(built / "clean")
    assert result.exit_code == 0, result.output
    assert "Nothing found in 2 files" in result.output
    assert (built / "clean" / "app.js").stat().st_size > 100_000
