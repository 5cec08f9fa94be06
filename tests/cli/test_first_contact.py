"""`xwms-auth doctor --first-contact`: what XWMS does where its documentation is silent, tried at local XWMSes."""

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result

from tests.tools.doctor import SESSION_SECRET, of, served
from xwms_auth import XWMSConfig
from xwms_auth.cli.commands import xwms_auth
from xwms_auth.cli.doctor.first_contact import of_first_contact
from xwms_auth.cli.ports import any_free
from xwms_auth.sandbox import SandboxServer, SandboxSettings

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@dataclass
class Visitor:
    """A person at the pages of the guide; every token that passes is kept, to be looked for in the output."""

    guide: str
    seen: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = httpx2.Client(headers=BROWSER, timeout=30, trust_env=False)

    def get(self, url: str, **headers: str) -> httpx2.Response:
        response = self.http.get(url, headers=headers)
        for place in (url, response.headers.get("location", "")):
            self.seen += re.findall(r"(?:token=|sign-in/)([\w-]{20,})", place)
        return response

    def open_guide(self) -> str:
        page = self.get(self.guide).text
        self.titles += re.findall(r"<h2>(.*?)</h2>", page)
        return page

    def log_in(self) -> None:
        """To XWMS, where somebody is signed in at once, and back, as far as redirects lead."""
        self.open_guide()
        response = self.get(f"{self.guide}/go")
        while "location" in response.headers and response.headers["location"] != "/first-contact":
            response = self.get(response.headers["location"])
        assert response.status_code == 303, response.text

    def open_page(self, place: str) -> None:
        """Any address where the guide is."""
        assert self.get(self.guide.removesuffix("/first-contact") + place).headers["location"] == "/first-contact"

    def come_back(self, place: str) -> None:
        """From XWMS, without a login."""
        self.open_guide()
        self.get(f"{self.guide}/go")
        self.open_page(place)


def cancel(visitor: Visitor) -> None:
    visitor.come_back("/")


@contextmanager
def xwms(**settings: Any) -> Iterator[tuple[dict[str, str | None], SandboxServer]]:
    port = any_free()
    uri = f"http://localhost:{port}/xwms/validateToken"
    known = SandboxSettings(redirect_uris=(uri,), auto_login="1001", **settings)
    with SandboxServer(known, port=0) as server:
        variables: dict[str, str | None] = {
            "XWMS_CLIENT_ID": known.client_id,
            "XWMS_CLIENT_SECRET": known.client_secret,
            "XWMS_DOMAIN": "localhost",
            "XWMS_REDIRECT_URI": uri,
            "XWMS_API_URI": server.api_url,
            "XWMS_SESSION_SECRET": SESSION_SECRET,
            "XWMS_FLOW": None,
        }
        yield variables, server


def observe(variables: dict[str, str | None], *steps: Callable[[Visitor], None]) -> tuple[Result, Visitor]:
    """Run the command while somebody does the steps, one after the other."""
    uri = variables["XWMS_REDIRECT_URI"] or ""
    visitor = Visitor(uri.replace("/xwms/validateToken", "/first-contact").replace("localhost", "127.0.0.1"))
    visitor.http.headers["Host"] = uri.split("/")[2]
    faults = list[BaseException]()

    def walk() -> None:
        try:
            # The command listens before it asks anybody to come: until then nothing answers.
            while not started.is_set():
                try:
                    visitor.http.get(visitor.guide.replace("/first-contact", "/favicon.ico"))
                    started.set()
                except httpx2.ConnectError:
                    started.wait(0.05)
            for step in steps:
                step(visitor)
            assert "That was all" in visitor.open_guide()
        except BaseException as error:  # noqa: BLE001  raised where the test can see it
            faults.append(error)

    started = threading.Event()
    person = threading.Thread(target=walk)
    person.start()
    try:
        result = CliRunner().invoke(xwms_auth, ["doctor", "--first-contact", "--json"], env=variables)
    finally:
        started.set()
        person.join()
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert not faults, (faults, result.output)
    assert not [token for token in visitor.seen if token in result.output]
    assert SESSION_SECRET not in result.output
    return result, visitor


def findings_of(result: Result) -> list[dict[str, Any]]:
    # Click 8.1 lets a runner mix both outputs, and the invitation is on standard error.
    return json.loads(result.stdout[result.stdout.index("{") :])["findings"]


def answers(result: Result) -> dict[str, dict[str, Any]]:
    return of(findings_of(result), "ok")


@pytest.mark.parametrize("kind", ["same", "fresh"])
def test_three_logins_answer_what_is_open(kind):
    with xwms(callback_token=kind) as (variables, _):
        result, visitor = observe(variables, Visitor.log_in, Visitor.log_in, cancel)
    assert result.exit_code == 0, result.output
    assert [title[:11] for title in visitor.titles] == ["Step 1 of 3", "Step 2 of 3", "Step 3 of 3"]
    assert len(set(visitor.seen)) >= 2
    found = answers(result)
    assert found["callback token"]["remedy"] == f"set XWMS_CALLBACK_TOKEN={kind}"
    assert "with the parameters token" in found["callback"]["text"]
    assert "token_rejected" in found["second use"]["text"]
    assert "token_rejected" in found["early token"]["text"]
    assert "a sub of digits" in found["person"]["text"]
    assert found["cancel"]["text"] == "XWMS comes back to / with no parameters"
    assert "127.0.0.1" in found["sign-in address"]["text"]
    # Anna is somebody, and what she is called is nobody's business.
    assert "Anna" not in result.output
    if kind == "fresh":
        assert "XWMS refuses it" in found["sign-token's own token"]["text"]


def nothing(visitor: Visitor) -> None:
    visitor.open_guide()
    visitor.open_page("/first-contact/nothing")


def refuse_with_words(visitor: Visitor) -> None:
    visitor.come_back("/xwms/validateToken?xwmsmessage_status=error&xwmsmessage_message=Cancelled")


TOKEN = "kX3v9qLm20RtZs8yBn4PwQ"


def come_back_with_a_bare_token(visitor: Visitor) -> None:
    visitor.come_back(f"/xwms/validateToken?{TOKEN}")


def come_back_with_a_token_in_the_path(visitor: Visitor) -> None:
    visitor.come_back(f"/cancelled/{TOKEN}/")


@pytest.mark.parametrize(
    ("cancelled", "told"),
    [
        (come_back_with_a_bare_token, "/xwms/validateToken with the parameters …"),
        (come_back_with_a_token_in_the_path, "/cancelled/…/ with no parameters"),
        (nothing, "XWMS keeps the browser"),
        (refuse_with_words, "/xwms/validateToken with the parameters xwmsmessage_message, xwmsmessage_status"),
    ],
)
def test_what_happens_on_cancel_is_told_without_what_was_in_it(cancelled, told):
    with xwms() as (variables, _):
        result, _ = observe(variables, Visitor.log_in, Visitor.log_in, cancelled)
    assert told in answers(result)["cancel"]["text"]
    assert "Cancelled" not in result.output
    assert TOKEN not in result.output


@pytest.mark.parametrize("place", ["/", "/xwms/validateToken", "/xwms/validateToken?token=of-an-earlier-step"])
def test_what_is_opened_before_somebody_goes_to_xwms_is_no_answer(place):
    def look_around(visitor: Visitor) -> None:
        visitor.open_guide()
        visitor.open_page(place)

    with xwms() as (variables, _):
        steps = (look_around, Visitor.log_in, look_around, Visitor.log_in, look_around, cancel)
        result, _ = observe(variables, *steps)
    assert result.exit_code == 0, result.output
    assert {"callback", "refused token", "cancel"} <= answers(result).keys()


def test_a_login_that_brings_nothing_back_is_a_fault():
    with xwms() as (variables, _):
        result, _ = observe(variables, nothing, nothing, nothing)
    findings = findings_of(result)
    assert result.exit_code == 1
    assert "nothing back" in of(findings, "fault")["callback"]["text"]
    assert "nothing back" in of(findings, "skipped")["refused token"]["text"]


class OddXWMS:
    """An XWMS as it might be too, which approves whoever comes: as a WSGI application."""

    def __init__(self, **odd: Any) -> None:
        self.odd = odd
        self.tokens: dict[str, str] = {}  # what becomes of it: begun, approved, dead
        self.returns: dict[str, str] = {}

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/sign-in/"):
            own = path.removeprefix("/sign-in/")
            given = secrets.token_urlsafe(32) if self.odd.get("fresh") else own
            if self.tokens[own] != "dead":
                self.tokens[given] = "approved"
            place = f"{self.returns[own]}?{self.odd.get('name', 'token')}={given}"
            start_response("303 See Other", [("Location", place)])
            return []
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length) or b"{}")
        if path == "/api/sign-token" and "invalid" not in body["redirect_url"] + environ["HTTP_X_CLIENT_DOMAIN"]:
            token = secrets.token_urlsafe(32)
            self.tokens[token], self.returns[token] = "begun", body["redirect_url"]
            return self._answer(
                start_response, {"token": token, "url": f"http://{environ['HTTP_HOST']}/sign-in/{token}"}
            )
        token = body.get("token", "")
        if path == "/api/sign-token-verify" and (
            self.tokens.get(token) == "approved" or (self.odd.get("early") and token in self.tokens)
        ):
            self.tokens[token] = "approved" if self.odd.get("twice") else "dead"
            return self._answer(start_response, {"sub": "xwms-user-1234"})
        if token in self.tokens and self.odd.get("dies"):
            self.tokens[token] = "dead"
        return self._answer(start_response, None)

    def _answer(self, start_response: Any, data: Any) -> list[bytes]:
        status = "200 OK" if data else self.odd.get("refusal", "400 Bad Request")
        start_response(status, [("Content-Type", "application/json")])
        said = {"status": "success", "message": "", "data": data} if data else {"status": "error", "message": "No."}
        return [json.dumps(said).encode()]


@pytest.mark.parametrize(
    ("odd", "state", "subject", "told", "setting"),
    [
        ({}, "ok", "refused token", "lives on", "share a session store"),
        ({"dies": True}, "ok", "refused token", "is dead", ""),
        ({"dies": True, "fresh": True}, "skipped", "refused token", "another token", ""),
        ({"fresh": True}, "ok", "sign-token's own token", "XWMS refuses it", ""),
        ({"early": True}, "fault", "early token", "nobody has approved", "tell XWMS"),
        ({"early": True, "fresh": True}, "ok", "sign-token's own token", "XWMS takes it too", "CALLBACK_TOKEN=fresh"),
        ({"twice": True}, "fault", "second use", "takes a token twice", "share a session store"),
        ({"name": "access_token"}, "fault", "callback", "comes back as access_token", "report"),
        ({}, "warning", "refusals", "xwms_bad_answer: XWMS answered 400", "report these words"),
    ],
)  # fmt: skip
def test_an_xwms_that_does_it_otherwise_is_seen_and_the_setting_follows(odd, state, subject, told, setting):
    steps = [Visitor.log_in] * (1 if odd.get("early") else 2)
    with served(OddXWMS(**odd)) as port, xwms() as (variables, _):
        result, _ = observe(variables | {"XWMS_API_URI": f"http://127.0.0.1:{port}/api/"}, *steps, cancel)
    found = [one for one in findings_of(result) if (one["state"], one["subject"]) == (state, subject)]
    assert any(told in one["text"] and setting in one["remedy"] for one in found), found


def test_other_names_of_this_machine_and_parts_of_pages_get_nothing():
    def look(visitor: Visitor) -> None:
        page = visitor.get(visitor.guide)
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert visitor.get(visitor.guide, Host="xwms.example").status_code == 400
        assert visitor.get(f"{visitor.guide}/nothing", **{"Sec-Fetch-Dest": "image"}).status_code == 404
        nothing(visitor)

    with xwms() as (variables, _):
        result, _ = observe(variables, look, nothing, nothing)
    assert "nothing back" in result.output


def not_met(variables: dict[str, str | None]) -> list[dict[str, Any]]:
    return findings_of(CliRunner().invoke(xwms_auth, ["doctor", "--first-contact", "--json"], env=variables))


def test_where_nothing_can_come_back_it_says_what_to_register():
    with xwms() as (variables, _):
        public = {"XWMS_REDIRECT_URI": "https://desk.example/xwms/validateToken", "XWMS_DOMAIN": "desk.example"}
        found = of(not_met(variables | public), "fault")["first contact"]
    assert "http://localhost:5000/xwms/validateToken" in found["remedy"]


def test_an_application_that_is_in_the_way_is_named():
    with xwms() as (variables, server):
        taken = f"{server.url.replace('127.0.0.1', 'localhost')}/xwms/validateToken"
        found = of(not_met(variables | {"XWMS_REDIRECT_URI": taken}), "fault")["first contact"]
    assert "stop the application" in found["remedy"]


def test_a_secret_that_only_an_asgi_application_can_await_is_a_finding_and_no_crash():
    async def secret() -> str:
        return secrets.token_urlsafe(32)

    uri = f"http://localhost:{any_free()}/xwms/validateToken"
    config = XWMSConfig(client_id="desk", client_secret=secret, redirect_uris=uri, session_secret=SESSION_SECRET)
    (found,) = of_first_contact(config)
    assert (found.state, "async callable" in found.text) == ("fault", True)
    assert "XWMS_CLIENT_SECRET" in found.remedy


def test_a_client_that_begins_no_login_leads_nobody_anywhere():
    with xwms(faults=("disabled-client:sign-token",)) as (variables, _):
        found = of(not_met(variables), "fault")["first contact"]
    assert "client_disabled" in found["text"]
