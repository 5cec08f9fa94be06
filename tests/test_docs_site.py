"""The site that docs/ becomes: its order, what each page says of itself, the reference, and who can read it."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

from tests.tools.docs_pages import DOCS, LLMS, ROOT, front_matter, llms, sections

DOORS = ("flask", "fastapi", "starlette", "asgi", "wsgi")
PUBLIC = {
    "reference.html": [f"xwms_auth.{door}" for door in DOORS],
    "reference-package.html": ["xwms_auth"],
    "reference-parts.html": [f"xwms_auth.{part}" for part in ("accounts", "stores", "stores.sqlalchemy", "testing")],
}
"""The page of each module's public names."""


def build(folder: Path) -> Path:
    """The site, in a folder of its own, so that two tests can build it at once."""
    shutil.copytree(DOCS, folder / "docs")
    (folder / "xwms_auth").symlink_to(ROOT / "xwms_auth")  # whose docstrings are read
    config = folder / "mkdocs.yml"
    shutil.copy(ROOT / "mkdocs.yml", config)
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--config-file", str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_every_page_describes_itself_in_its_own_words():
    told = {page.name: front_matter(page).get("description") for page in DOCS.glob("*.md")}
    assert [name for name, text in told.items() if not text or not 30 < len(text) <= 160] == []
    assert len(set(told.values())) == len(told)


def test_llms_txt_has_every_page_with_a_line():
    assert LLMS.read_text(encoding="utf-8") == llms(), "run: python -m tests.tools.docs_pages"
    listed = [name for _, names in sections() for name in names]
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md"))


def test_the_sections_follow_the_life_of_a_user():
    assert [title for title, _ in sections()] == ["Start", "Quick starts", "How-to", "Reference", "Understand"]


def test_the_site_is_built_and_has_every_public_name(tmp_path):
    site = build(tmp_path)
    for page, modules in PUBLIC.items():
        text = (site / page).read_text(encoding="utf-8")
        for module in modules:
            names = import_module(module).__all__
            assert [name for name in names if f'id="{module}.{name}"' not in text] == [], module
    assert (site / "llms.txt").read_text(encoding="utf-8") == llms()


def test_the_readme_on_a_package_page_leads_to_no_file_that_is_not_there():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for change in settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    assert "![" not in text
    assert [target for target in re.findall(r"\]\(([^)]*)\)", text) if not target.startswith("https://")] == []
    assert "There are quick starts for Flask, FastAPI, Starlette" in text
