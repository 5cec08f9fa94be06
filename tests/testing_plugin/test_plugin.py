"""The plugin in projects as their developers have them, each in a process of its own."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from xwms_auth._core.config.env import ENVIRONMENT
from xwms_auth._core.io import in_process
from xwms_auth.testing import environment

ROOT = Path(__file__).parents[2]

SHOP = """
from flask import Flask
from xwms_auth.flask import XWMSAuth, current_user, login_required

app = Flask(__name__)
app.secret_key = "the-key-of-the-application-itself-0123456789"
auth = XWMSAuth(app)

@app.get("/")
@login_required
def home():
    return current_user.display_name
"""

DESK = """
from fastapi import FastAPI
from xwms_auth.fastapi import CurrentUser, XWMSAuthMiddleware

app = FastAPI()
app.add_middleware(XWMSAuthMiddleware)

@app.get("/")
async def home(user: CurrentUser):
    return {"hello": user.display_name}
"""

NO_NETWORK = """
import socket

def refuse(*args, **_):
    raise AssertionError(f"the network was used: {args}")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def run(
    folder: Path, *options: str, plugin: bool = True, settings: Mapping[str, str] = MappingProxyType({}), **files: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest in a project with these files, and with these settings of XWMS alone."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    (folder / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\npythonpath = ["."]\n'
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XWMS_", "PYTEST"))}
    environ |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **settings}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "xwms_auth.testing.plugin"] if plugin else []
    return subprocess.run(
        [*command, *options], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def passed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    return int(found[1]) if found else 0


def test_applications_that_are_made_at_import(tmp_path):
    tests = """
        import os
        import pytest
        from starlette.testclient import TestClient
        import desk, shop

        @pytest.mark.parametrize("sub", ["1001", "1003"])
        def test_flask(xwms, sub):
            client = shop.app.test_client()
            assert client.get("/").status_code == 401
            user = xwms.login(client, sub=sub)
            assert client.get("/").text == user.name

        @pytest.mark.parametrize("sub", ["1001", "1003"])
        def test_fastapi(xwms, sub):
            client = TestClient(desk.app)
            assert client.get("/").status_code == 401
            user = xwms.login(client, sub=sub)
            assert client.get("/").json() == {"hello": user.name}

        def test_without_a_login(xwms):
            away = shop.app.test_client().get("/xwms/auth", headers={"Sec-Fetch-Site": "none"})
            assert away.location.startswith(xwms.url)
            cookie = xwms.session_cookie()
            client = shop.app.test_client()
            client.set_cookie(cookie["name"], cookie["value"])
            assert client.get("/").text == "Anna de Vries"

        def test_a_test_that_does_not_use_it():
            assert shop.app.test_client().get("/").status_code == 401
    """
    assert passed(run(tmp_path, conftest=NO_NETWORK + "import shop\n", shop=SHOP, desk=DESK, test_it=tests)) == 6
    together = run(tmp_path, "-p", "xdist.plugin", "-n", "2")
    assert passed(together) == 6


def test_a_client_of_a_module_is_signed_out_by_the_end_of_a_test(tmp_path):
    tests = """
        import pytest
        from starlette.testclient import TestClient
        import desk, shop

        @pytest.fixture(scope="module", params=["flask", "fastapi"])
        def client(request):
            return shop.app.test_client() if request.param == "flask" else TestClient(desk.app)

        @pytest.mark.parametrize("number", [1, 2])
        def test_somebody(xwms, client, number):
            assert client.get("/").status_code == 401
            xwms.login(client)
            assert client.get("/").status_code == 200

        def test_nobody(client):
            assert client.get("/").status_code == 401
    """
    assert passed(run(tmp_path, conftest=NO_NETWORK, shop=SHOP, desk=DESK, test_it=tests)) == 6


def test_a_login_for_all_tests_of_a_module(tmp_path):
    tests = """
        import pytest
        from xwms_auth.testing import local_xwms
        import shop

        @pytest.fixture(scope="module")
        def client():
            with local_xwms() as xwms:
                client = shop.app.test_client()
                xwms.login(client)
                yield client

        @pytest.mark.parametrize("number", [1, 2])
        def test_somebody(client, number):
            assert client.get("/").text == "Anna de Vries"

        def test_another_beside(xwms, client):
            other = shop.app.test_client()
            xwms.login(other, sub="1003")
            assert other.get("/").text == "Suharti"

        def test_and_still_there(client):
            assert client.get("/").text == "Anna de Vries"
    """
    assert passed(run(tmp_path, conftest=NO_NETWORK, shop=SHOP, test_it=tests)) == 4


def test_silent_where_nothing_uses_it(tmp_path):
    tests = """
        import os, sys

        def test_the_environment_is_untouched():
            assert [name for name in os.environ if name.startswith("XWMS_")] == []
            loaded = {"flask", "werkzeug", "starlette", "sqlalchemy", "httpcore2", "anyio", "asyncio", "cryptography"}
            assert loaded & set(sys.modules) == set()
            assert "xwms_auth.testing.in_process" not in sys.modules
    """
    done = run(tmp_path, test_it=tests)
    assert passed(done) == 1
    assert "xwms" not in done.stdout + done.stderr


def test_the_settings_of_the_project_stay(tmp_path):
    own = """
        import os

        os.environ["XWMS_SESSION_STORE"] = "memory://"
        BEFORE = {name: value for name, value in os.environ.items() if name.startswith("XWMS_")}
    """
    tests = """
        import os
        import shop

        def test_it(xwms):
            served = shop.app.extensions["xwms_auth"]
            assert type(served.store).__name__ == "MemoryStore"
            client = shop.app.test_client()
            xwms.login(client)
            assert client.get("/").status_code == 200
    """
    assert passed(run(tmp_path, own=own, conftest="import own", shop=SHOP, test_it=tests)) == 1


LIVE = {
    "XWMS_CLIENT_ID": "live-client",
    "XWMS_CLIENT_SECRET": "the-secret-of-the-live-client-0123456789",
    "XWMS_REDIRECT_URI": "https://shop.example/xwms/validateToken",
    "XWMS_SESSION_SECRET": "a-session-secret-of-the-live-site-0123456789",
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"XWMS_API_URI": "http://127.0.0.1:9/api/"},
        {"XWMS_FLOW": "oauth2", "XWMS_ISSUER": "http://127.0.0.1:9", "XWMS_API_URI": "http://127.0.0.1:9/api/"},
    ],
    ids=["real", "sandbox", "oauth2"],
)
def test_an_application_that_was_made_from_live_variables_asks_no_real_xwms(tmp_path, more):
    """Not even before the first login, which joins any other application."""
    tests = """
        import shop

        def test_it(xwms):
            client = shop.app.test_client()
            started = client.get("/xwms/auth", headers={"Sec-Fetch-Site": "none"}, base_url="https://shop.example")
            assert started.location.startswith(xwms.url), started.text
            client.get(xwms.approve(started.location, "1002"))
            assert client.get("/", base_url="https://shop.example").text == "1002"

        def test_its_own_settings_are_back_after_a_test():
            assert shop.app.extensions["xwms_auth"].context.config.client_id == "live-client"
            assert "in-process" not in shop.app.extensions["xwms_auth"].context.config.api_url
    """
    assert passed(run(tmp_path, settings={**LIVE, **more}, conftest=NO_NETWORK, shop=SHOP, test_it=tests)) == 2


def test_the_settings_can_be_turned_off(tmp_path):
    done = run(tmp_path, "-o", "xwms_settings=false", shop=SHOP, test_it="import shop")
    assert done.returncode == 2
    assert "XWMS_CLIENT_ID (client_id) is missing" in done.stdout
    assert "XWMS_CLIENT_ID (client_id) is missing" in run(tmp_path, plugin=False).stdout


def test_it_may_be_named_in_a_conftest(tmp_path):
    conftest = 'pytest_plugins = ["xwms_auth.testing.plugin"]'
    tests = """
        import shop

        def test_it(xwms):
            client = shop.app.test_client()
            xwms.login(client)
            assert client.get("/").text == "Anna de Vries"
    """
    assert passed(run(tmp_path, plugin=False, conftest=conftest, shop=SHOP, test_it=tests)) == 1


@pytest.mark.more_packages
def test_async_tests(tmp_path):
    tests = """
        import httpx2
        import pytest
        import desk

        pytestmark = pytest.mark.anyio

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.fixture
        async def client():
            transport = httpx2.ASGITransport(app=desk.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                yield client

        async def test_it(xwms, client):
            await xwms.alogin(client)
            assert (await client.get("/")).json() == {"hello": "Anna de Vries"}
            await xwms.alogout(client)
            assert (await client.get("/")).status_code == 401
    """
    assert passed(run(tmp_path, "-p", "anyio", conftest=NO_NETWORK, desk=DESK, test_it=tests)) == 2


def test_without_pytest(tmp_path):
    program = f"""
{SHOP.replace("auth = XWMSAuth(app)", "")}
from xwms_auth.testing import local_xwms

with local_xwms() as xwms:
    XWMSAuth(app)
    client = app.test_client()
    print(xwms.login(client).name, client.get("/").text)
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("XWMS_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == "Anna de Vries Anna de Vries\n"


def test_the_names_of_the_environment_are_those_of_the_options():
    known = {name for names in ENVIRONMENT.values() for name in names} | {"XWMS_CLIENT_SECRET_FILE"}
    assert set(environment.variables({}, host="xwms.in-process.test")) <= known
    assert in_process.is_local(environment.HOST)


def test_what_is_missing_is_provided_and_nothing_else():
    complete = {
        "XWMS_CLIENT_ID": "id",
        "XWMS_CLIENT_SECRET_FILE": "/run/secret",
        "XWMS_REDIRECT_URI": "https://a.example/cb",
    }
    assert environment.absent(complete) == {}
    partly = environment.absent({"XWMS_CLIENT_ID": "id", "XWMS_CLIENT_SECRET_FILE": "/run/secret"})
    assert partly.keys() & {"XWMS_CLIENT_ID", "XWMS_CLIENT_SECRET"} == set()
    assert partly["XWMS_REDIRECT_URI"] == environment.REDIRECT_URI


def test_what_another_process_has_provided_is_replaced(monkeypatch: pytest.MonkeyPatch):
    theirs = {name: value for name, value in environment.variables({}, host=environment.HOST).items() if value}
    assert environment.inherited(theirs) == {}
    theirs["XWMS_CLIENT_SECRET"] = "of-another-process"
    assert set(environment.inherited(theirs)) == set(theirs)
