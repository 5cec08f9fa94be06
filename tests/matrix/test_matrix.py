"""A handful of the matrix's cells, with what this environment has anyway; `make matrix` runs all."""

import re
import sys
from pathlib import Path

from tests.matrix.cells import APPS, CELLS
from tests.matrix.providers import table as providers
from tests.matrix.providers.catalogue import NODE, PROVIDERS
from tests.matrix.providers.journey import STEPS, WORKS
from tests.matrix.runner import prepare, run, world
from tests.tools.requires import missing, program

HANDFUL = (
    "proxies/nginx-tls-http2-starlette",
    "asgi-servers/hypercorn-http2-tls",
    "asgi-servers/granian",
    "wsgi-servers/gunicorn-gthread-preload",
    "stores/asgi-cookie+redis-sign-token",
)


def test_a_handful_of_cells_is_green(tmp_path):
    program("nginx", "/usr/sbin/nginx")
    program("redis-server")
    prepared = [prepare(cell) for cell in CELLS if cell.title in HANDFUL]
    uris = [uri for each in prepared for uri in each.redirect_uris]
    with world(uris, command=[sys.executable, "-m", "xwms_auth"]) as shared:
        programs = Path(sys.executable).parent
        found = [run(each, shared, logs=tmp_path, programs=programs) for each in prepared]
    assert {result.cell.title: result.reason for result in found} == dict.fromkeys(HANDFUL, "")


def test_each_cell_has_a_name_and_an_application_of_its_own():
    titles = [cell.title for cell in CELLS]
    assert len(titles) == len(set(titles))
    apps = {path.stem for path in (Path(__file__).parent / "apps").glob("*sgi_*.py")}
    assert apps == set(APPS) == {cell.app for cell in CELLS}


def test_the_page_shows_every_cell():
    page = (Path(__file__).parents[2] / "docs" / "matrix.md").read_text()
    shown: list[str] = []
    for section in page.split("\n### ")[1:]:
        group = section.partition("\n")[0]
        shown += [f"{group}/{name}" for name in re.findall(r"^\| ([\w.+-]+) \| [aw]sgi", section, re.M)]
    assert shown == [cell.title for cell in CELLS]


def test_a_certified_provider_goes_all_the_way(tmp_path):
    program("node")
    if not (NODE / "node_modules" / "oidc-provider").is_dir():
        missing("oidc-provider (npm ci --prefix tests/oauth2)")
    assert providers.run(PROVIDERS[0], logs=tmp_path) == dict.fromkeys(STEPS, WORKS)


def test_the_page_of_conformance_shows_every_provider():
    assert providers.shown() == [provider.name for provider in PROVIDERS]
