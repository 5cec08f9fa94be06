"""XWMS's own JavaScript client against the sandbox: a Node program that sends exactly what the SDK sends.

The person is played here, at the sandbox's pages over HTTP; everything an app's server says comes from client.mjs.

A sub and JavaScript: the SDK sends digits as a number. Up to 9007199254740991 that is the same sub, and the sandbox
takes a number for the string of its digits. Above, a double cannot hold each number: 9007199254740993 leaves Node as
9007199254740992, which is somebody else. The sandbox never rounds: it answers about the one who was named, or that this
one has not approved. Words are sent as words.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.statements.story import Dashboard
from tests.tools.requires import program
from xwms_auth.sandbox import SandboxServer, SandboxSettings, parse_fault

CLIENT = Path(__file__).with_name("client.mjs")
REDIRECT = "http://localhost:5000/xwms/validateToken"
SECRET = "an-only-slightly-secret-secret"
SCOPES = ["userinfo", "useraddresses"]
WRONG_SECRET = "Invalid client credentials: the client secret is wrong."
NOT_APPROVED = "The user has not approved this client."
HOME = {
    "type": "home",
    "firstname": "Anna",
    "lastname": "de Vries",
    "street": "Keizersgracht",
    "house_number": 12,
    "postal_code": "1015 CN",
    "city": "Amsterdam",
    "country": "NLD",
}


class Refused(Exception):
    """The client's call was refused. `status` is None where no answer came."""

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NodeApp:
    """An app's server on Node, with the client in it: `app("verify", token)` is one call of it."""

    def __init__(self, node: str, **environ: str) -> None:
        # Node takes nothing else from here: a proxy or NODE_OPTIONS of this machine is not the SDK's.
        known = {"PATH": os.environ["PATH"], **environ}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([node, str(CLIENT)], env=known, text=True, encoding="utf-8", **pipes)

    def __call__(self, command: str, *given: object) -> Any:
        print(json.dumps([command, *given]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"Node ended with {self._process.wait()}"
        answer = json.loads(line)
        if not answer["ok"]:
            raise Refused(answer["status"], answer["message"])
        return answer["result"]

    def close(self) -> None:
        self._process.stdin.close()
        assert self._process.wait(timeout=10) == 0
        self._process.stdout.close()


class Person:
    """Somebody with a browser, at XWMS's sign-in page."""

    def __init__(self, sub: str) -> None:
        self.sub = sub

    def sign_in(self, url: str) -> tuple[str, list[str]]:
        """Choose who to be, and agree; the callback's address, and the scopes that were asked for."""
        with httpx2.Client() as browser:
            assert browser.get(url).status_code == 200
            answer = browser.post(url, data={"person": self.sub})
            asked: list[str] = re.findall(r'name="scope" value="([^"]+)"', answer.text)
            if asked:
                assert answer.status_code == 200
                answer = browser.post(url, data={"person": self.sub, "scope": asked})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"], asked


class Owner(Dashboard):
    """The owner of the client, at the dashboard."""

    def __init__(self, server: SandboxServer) -> None:
        super().__init__(server.url)
        self.enter_as("Local developer")

    def switch_client(self, *, enabled: bool) -> None:
        assert self.send("/clients/1", "/enabled", enabled="yes" if enabled else "no").status_code == 200

    def revoke_the_latest_user(self) -> None:
        assert self.send("/clients/1/users", "/revoke").status_code == 200


@pytest.fixture(scope="module")
def node() -> str:
    found = program("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version.removeprefix("v").partition(".")[0]) >= 18, f"fetch needs Node 18, and this is {version}"
    return found


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    settings = SandboxSettings(client_secret=SECRET, redirect_uris=(REDIRECT,), scopes=tuple(SCOPES))
    with SandboxServer(settings, port=0) as running:
        yield running


@pytest.fixture
def make_app(node: str, server: SandboxServer):
    """Start the program; without the last slash of the API's address, as many configure it."""
    with ExitStack() as apps:

        def make(**changes: str) -> NodeApp:
            environ = {
                "XWMS_CLIENT_ID": "sandbox-client",
                "XWMS_CLIENT_SECRET": SECRET,
                "XWMS_DOMAIN": "localhost",
                "XWMS_REDIRECT_URI": REDIRECT,
                "XWMS_API_URI": server.api_url.removesuffix("/"),
            }
            app = NodeApp(node, **environ | changes)
            apps.callback(app.close)
            return app

        yield make


@pytest.fixture
def app(make_app) -> NodeApp:
    return make_app()


@pytest.fixture
def owner(server: SandboxServer) -> Iterator[Owner]:
    known = Owner(server)
    yield known
    known.close()


def log_in(app: NodeApp, sub: str) -> dict[str, Any]:
    """A whole login; the person as XWMS tells them."""
    callback, _ = Person(sub).sign_in(app("begin"))
    return app("verify", app("token", callback))


def refusal(app: NodeApp, command: str, *given: object) -> tuple[int | None, str]:
    with pytest.raises(Refused) as refused:
        app(command, *given)
    return refused.value.status, refused.value.message


def test_a_whole_login(app, server):
    url = app("begin")
    assert url.startswith(f"{server.url}/sign-in/")
    callback, asked = Person("1001").sign_in(url)
    assert asked == SCOPES
    assert callback.startswith(f"{REDIRECT}?token=")
    token = app("token", callback)
    assert parse_qs(urlsplit(callback).query) == {"token": [token]}
    assert app("verify", token) == {
        "sub": "1001",
        "name": "Anna de Vries",
        "given_name": "Anna",
        "family_name": "de Vries",
        "email": "anna@example.com",
        "email_verified": True,
        "picture": f"{server.url}/static/person.png",
    }
    assert refusal(app, "verify", token) == (401, "The token is invalid, expired or already used.")


def test_the_second_login_asks_for_nothing_again(app):
    log_in(app, "1001")
    assert Person("1001").sign_in(app("begin"))[1] == []


def test_the_token_is_read_from_access_token_too(app):
    callback, _ = Person("xwms-user-1234").sign_in(app("begin"))
    token = app("token", callback.replace("?token=", "?access_token="))
    assert app("verify", token)["sub"] == "xwms-user-1234"


def test_the_base_address_works_with_its_last_slash_and_without(make_app, server):
    assert server.api_url.endswith("/api/")
    for base in (server.api_url, server.api_url.removesuffix("/")):
        assert make_app(XWMS_API_URI=base)("info")["application"]["name"] == "XWMS sandbox"


def test_what_is_known_about_a_person_with_their_socials(app):
    log_in(app, "1001")
    known = app("userInfo", "1001")
    assert (known["sub"], known["name"], known["email"]) == ("1001", "Anna de Vries", "anna@example.com")
    assert (known["birth_date"], known["gender"], known["country"]) == ("1990-04-27", "female", "NL")
    assert known["second_email"] == "anna.de.vries@example.org"
    assert known["socials"] == [{"platform": "github", "username": "annadv", "url": "https://github.example/annadv"}]


def test_countries_projects_and_info(app, server):
    countries = {country["short_name"]: country for country in app("countries")}
    assert len(countries) > 190
    netherlands = countries["NL"]
    assert (netherlands["iso_alpha3"], netherlands["capital"]) == ("NLD", "Amsterdam")
    assert (netherlands["currency_code"], netherlands["phonecode"]) == ("EUR", "+31")
    assert netherlands["is_eu_member"] is True
    assert countries["CH"]["is_eu_member"] is False
    assert [project["title"] for project in app("projects")] == ["Local XWMS"]
    assert app("info")["api"]["endpoints"]["auth_signin"] == f"{server.url}/api/sign-token"


def test_addresses_are_created_listed_changed_and_deleted(app):
    log_in(app, "1001")
    assert app("addresses", "1001") == []
    made = app("createAddress", "1001", HOME)
    assert (made["street"], made["house_number"], made["city"]) == ("Keizersgracht", "12", "Amsterdam")
    assert made["country"]["short_name"] == "NL"
    assert made["country"]["is_eu_member"] is True
    assert app("addresses", "1001") == app("listAddresses", "1001") == [made]
    moved = app("updateAddress", "1001", made["id"], {"street": "Meir", "city": "Antwerpen", "country": "BE"})
    assert moved["country"]["short_name"] == "BE"
    assert moved == made | {"street": "Meir", "city": "Antwerpen", "country": moved["country"]}
    assert app("listAddresses", "1001") == [moved]
    assert app("deleteAddress", "1001", made["id"]) == moved
    assert app("listAddresses", "1001") == []
    assert refusal(app, "deleteAddress", "1001", made["id"]) == (404, "The address is not known.")


def test_nobody_reaches_the_address_of_somebody_else(app):
    log_in(app, "1001")
    log_in(app, "1003")
    made = app("createAddress", "1001", HOME)
    assert app("listAddresses", "1003") == []
    assert refusal(app, "updateAddress", "1003", made["id"], {"city": "Elsewhere"})[0] == 404
    assert refusal(app, "deleteAddress", "1003", made["id"])[0] == 404
    assert app("listAddresses", "1001") == [made]


def test_an_address_in_a_country_that_does_not_exist_is_refused(app):
    log_in(app, "1001")
    status, message = refusal(app, "createAddress", "1001", HOME | {"country": "XX"})
    assert status == 422
    assert "country" in message


def test_a_wrong_secret_is_refused_by_every_call(app, make_app):
    log_in(app, "1001")
    other = make_app(XWMS_CLIENT_SECRET="the-secret-of-last-year")
    assert refusal(other, "begin") == (401, WRONG_SECRET)
    assert refusal(other, "verify", "any-token") == (401, WRONG_SECRET)
    assert refusal(other, "userInfo", "1001") == (401, WRONG_SECRET)
    assert refusal(other, "listAddresses", "1001") == (401, WRONG_SECRET)
    assert refusal(other, "countries") == (401, WRONG_SECRET)


def test_a_disabled_client_is_refused_until_it_is_enabled_again(app, owner):
    log_in(app, "1001")
    owner.switch_client(enabled=False)
    assert refusal(app, "begin") == (403, "The client is disabled.")
    assert refusal(app, "userInfo", "1001") == (403, "The client is disabled.")
    owner.switch_client(enabled=True)
    assert app("userInfo", "1001")["sub"] == "1001"


def test_after_a_revoked_approval_calls_are_refused_and_the_next_login_asks_again(app, owner):
    log_in(app, "1001")
    owner.revoke_the_latest_user()
    assert refusal(app, "userInfo", "1001") == (403, NOT_APPROVED)
    assert refusal(app, "listAddresses", "1001") == (403, NOT_APPROVED)
    callback, asked = Person("1001").sign_in(app("begin"))
    assert asked == SCOPES
    app("verify", app("token", callback))
    assert app("userInfo", "1001")["sub"] == "1001"


def test_a_redirect_url_that_is_not_registered_is_refused(make_app):
    app = make_app(XWMS_REDIRECT_URI=f"{REDIRECT}/")
    assert refusal(app, "begin") == (422, "The redirect URL is not registered for this client.")


def test_the_client_gives_up_after_its_timeout(make_app, server):
    app = make_app(XWMS_TIMEOUT_MS="200")
    server.inside.faults.add(parse_fault("timeout:sign-token:1"))
    assert refusal(app, "begin") == (None, "no answer within 200 ms")
    assert app("info")["application"]["name"] == "XWMS sandbox"


# A sub that consists of digits leaves Node as a number -------------------------------------------------------------


@pytest.mark.parametrize(
    ("sub", "sent"),
    [
        ("1001", "1001"),
        ("9007199254740991", "9007199254740991"),
        ("9007199254740993", "9007199254740992"),
        ("xwms-user-1234", '"xwms-user-1234"'),
    ],
)
def test_a_sub_as_the_client_sends_it(app, sub, sent):
    assert app("sent", sub) == sent


def test_a_sub_in_words_is_sent_as_it_is(app):
    log_in(app, "xwms-user-1234")
    assert app("userInfo", "xwms-user-1234")["sub"] == "xwms-user-1234"


def test_a_sub_too_large_for_javascript_is_refused_as_the_other_person_it_became(app):
    assert log_in(app, "9007199254740993")["sub"] == "9007199254740993"
    assert refusal(app, "userInfo", "9007199254740993") == (403, NOT_APPROVED)
    assert refusal(app, "createAddress", "9007199254740993", HOME) == (403, NOT_APPROVED)


def test_where_that_other_person_exists_each_keeps_what_is_theirs(app, server):
    log_in(app, "9007199254740993")
    url = app("begin")
    neighbour = {"sub": "9007199254740992", "name": "Neighbour"}
    asked = httpx2.post(url, data=neighbour)
    assert asked.status_code == 200
    answer = httpx2.post(url, data=neighbour | {"scope": SCOPES})
    app("verify", app("token", answer.headers["location"]))
    made = app("createAddress", "9007199254740993", HOME)
    assert app("userInfo", "9007199254740993")["name"] == "Neighbour"
    assert app("listAddresses", "9007199254740992") == [made]
    exact = httpx2.post(
        f"{server.api_url}user/address",
        json={"sub": "9007199254740993", "action": "list", "redirect_url": REDIRECT},
        headers={"X-Client-Id": "sandbox-client", "X-Client-Secret": SECRET, "X-Client-Domain": "localhost"},
    )
    assert exact.json()["data"] == {"addresses": []}
