"""A login by OAuth 2.0 from its start to its session, without any I/O: what the server says is played by hand."""

import json
import logging
import re
from typing import Any

import pytest

from tests.login.test_accounts_by_hand import Shop
from tests.login.test_flow_steps import NOW
from tests.login.visits import NotingStore, Visit, code, confirm, location
from tests.oauth2.jwts import make_key, signed
from tests.oauth2.steps import asked
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN, LOGOUT
from xwms_auth import User
from xwms_auth._core.accounts.errors import NoAccount
from xwms_auth._core.accounts.linker import Linked, ProofNeeded
from xwms_auth._core.base.effects import UpstreamResponse

ISSUER = "https://as.example"
SERVER = {
    "flow": "oauth2",
    "issuer": ISSUER,
    **{f"{name}_endpoint": f"{ISSUER}/{name}" for name in ("authorization", "token", "userinfo")},
    "jwks_uri": f"{ISSUER}/keys",
}
IN_A_FRAME = {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "iframe"}
BY_WORKER = {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "empty"}


def document(value: object) -> UpstreamResponse:
    return UpstreamResponse(status=200, content_type="application/json", body=json.dumps(value).encode())


class Client(Visit):
    """A browser, and the server: `claims` are of the next ID token, `code` is of the next callback."""

    def __init__(self, shop: Any = None, **options: Any) -> None:
        super().__init__(shop, **{**SERVER, **options})
        self.key = make_key("ES256")
        self.claims: dict[str, Any] = {}
        self.sent: dict[str, str] = {}
        self.begun = 0
        self.revoked: list[str] = []
        self.may_revoke = True

    def send(self, call: Any) -> UpstreamResponse:
        if call.url.endswith("/keys"):
            return document({"keys": [self.key.jwk]})
        if call.url.endswith("/revocation"):
            self.revoked.append(call.form)
            return (
                document({}) if self.may_revoke else UpstreamResponse(status=503, content_type="text/plain", body=b"")
            )
        if call.url.endswith("/userinfo"):
            return document({"sub": self.claims.get("sub", "17"), "name": "Ada"})
        self.issued += 1
        times = {"iat": self.now, "exp": self.now + 300}
        claims = {"iss": ISSUER, "aud": "id", "sub": "17", "nonce": self.sent["nonce"], **times, **self.claims}
        tokens = {"access_token": f"access-{self.issued}", "refresh_token": f"refresh-{self.issued}"}
        return document({**tokens, "token_type": "Bearer", "expires_in": 900, "id_token": signed(self.key, claims)})

    def begin(self, query: str = "next=/hello", sent: Any = None, **more: Any) -> str:
        """Start a login; gives the query of its callback."""
        begun = self.ask(LOGIN, query, sent, **more)
        assert begun.status == 302, begun
        self.sent = asked(location(begun))
        self.begun += 1
        return f"code=code-{self.begun}&state={self.sent['state']}"

    def log_in(self, *, link: bool = False) -> Any:
        return self.ask(CALLBACK, self.begin(method="POST", link="1") if link else self.begin())

    def given_up(self) -> list[str]:
        """The refresh tokens that are to be revoked."""
        found = []
        while (kept := self.site.state.pending_revocations.take(now=self.now)) is not None:
            found.append(kept.tokens.refresh_token.reveal())
        return found


def test_a_login_has_its_tokens_and_nothing_is_given_up():
    client = Client()
    done = client.log_in()
    assert (done.status, location(done), done.logged_in) == (303, "/hello", True)
    (session,) = client.store.created
    assert session.tokens.refresh_token.reveal() == "refresh-1"
    assert client.given_up() == []


@pytest.mark.parametrize(
    ("before", "after", "given_up"),
    [
        ({"sub": "17", "sid": "a"}, {"sub": "17", "sid": "b"}, ["refresh-1"]),
        ({"sub": "17", "sid": "a"}, {"sub": "17", "sid": "a"}, []),
        ({"sub": "17"}, {"sub": "17"}, []),
        ({"sub": "17"}, {"sub": "18"}, ["refresh-1"]),
    ],
)
def test_the_tokens_of_the_session_that_a_login_replaces_are_given_up(before, after, given_up):
    client = Client()
    client.claims = before
    client.log_in()
    client.now += 60
    client.claims = {**after, "auth_time": client.now}
    assert client.ask(CALLBACK, client.begin("next=/hello&fresh=30")).logged_in
    assert client.given_up() == given_up
    assert client.store.notes.count("drop") == 1


def test_a_login_whose_end_the_server_has_told_meanwhile_becomes_no_session():
    """Back-channel logout: while the callback is on its way through the store."""
    client = Client()
    client.claims = {"sid": "a"}
    query = client.begin()

    class Ended(NotingStore):
        def claimed(self, names: Any, *, now: int) -> Any:
            return [name.startswith("ended/") for name in names]

    client.store = Ended()
    assert code(client.ask(CALLBACK, query)) == (401, "token_rejected")
    assert not client.is_in()
    assert client.store.notes[-1] == "drop"


@pytest.mark.parametrize("error", [NoAccount("closed"), None])
def test_a_login_that_becomes_no_session_gives_its_tokens_up(error):
    """A store that is down does not: the session may have been begun."""
    client = Client(Shop(found=error or Linked(key="1")))
    query = client.begin()
    if error is None:
        client.store.down = ("create",)
    done = client.ask(CALLBACK, query)
    assert done.status == (403 if error else 503)
    assert client.given_up() == (["refresh-1"] if error else [])


def test_a_login_that_waits_gives_its_tokens_up_and_the_next_one_finds_the_account():
    shop = Shop(found=ProofNeeded(key="7"), here="7")
    client = Client(shop)
    waiting = client.log_in()
    assert client.given_up() == ["refresh-1"]
    linked = confirm(client, waiting)
    assert (linked.status, linked.logged_in) == (303, False)
    assert location(linked) == "/xwms/auth?next=/hello"
    assert shop.linked == [("17", "7")]
    assert not client.is_in()
    shop.found = Linked(key="7")
    assert client.log_in().logged_in


@pytest.mark.parametrize(("since", "counts"), [(599, True), (600, False)])
def test_the_time_to_confirm_begins_with_the_question_however_long_ago_the_person_logged_in(since, counts):
    shop = Shop(found=ProofNeeded(key="7"), here="7")
    client = Client(shop)
    client.claims = {"auth_time": NOW - 5000}
    waiting = client.log_in()
    client.now += since
    confirm(client, waiting)
    assert shop.linked == ([("17", "7")] if counts else [])


def test_an_error_of_the_server_ends_the_login_and_says_which_only_where_the_page_was_silent(caplog):
    for prompt, error, leads_to in (
        ("none", "login_required", "/hello?xwms_error=login_required"),
        ("none", "access_denied", None),
        ("login", "login_required", None),
    ):
        client = Client(login_params=["prompt"])
        client.begin("next=/first")
        query = client.begin(f"next=/hello&prompt={prompt}").replace("code=code-2", f"error={error}")
        before = client.names("login")
        with caplog.at_level(logging.INFO):
            caplog.clear()
            done = client.ask(CALLBACK, query)
        assert client.names("login") == before[:1]
        assert not done.logged_in
        if leads_to is None:
            assert done.error is not None
        else:
            assert (done.status, location(done)) == (303, leads_to)
            assert re.findall(r"login_not_silent login=([\w-]+) cause=(\w+)", caplog.text) == [(before[1][-8:], error)]
        assert code(client.ask(CALLBACK, query))[0] == 400


def test_a_page_that_a_silent_login_has_come_back_to_begins_no_other_one():
    """It would be a loop of redirects."""
    client = Client(login_params=["prompt"])
    page = "next=/hello%3Fxwms_error=login_required"
    refused = client.ask(LOGIN, f"{page}&prompt=none")
    assert code(refused) == (401, "login_required")
    assert 'href="/xwms/auth?next=/hello"' in refused.body
    assert client.names("login") == []
    client.begin(f"{page}&prompt=login")
    client.begin("next=/hello&prompt=none")


@pytest.mark.parametrize(("prompt", "status"), [("login", 302), ("none", 303), ("", 303)])
def test_whoever_is_in_is_asked_again_only_where_the_login_says_so(prompt, status):
    client = Client(login_params=["prompt"])
    client.log_in()
    assert client.ask(LOGIN, f"next=/hello&prompt={prompt}").status == status


def test_a_server_whose_address_leaves_no_room_for_a_login_is_refused():
    client = Client(authorization_endpoint=f"{ISSUER}/{'a' * 1700}")
    assert code(client.ask(LOGIN)) == (502, "xwms_bad_answer")
    assert client.names("login") == []


def test_a_logout_gives_the_tokens_of_the_session_up():
    client = Client(revocation_endpoint=f"{ISSUER}/revocation")
    client.log_in()
    assert client.ask(LOGOUT, method="POST").status == 303
    assert not client.is_in()
    assert "token=refresh-1" in "".join(client.revoked)


@pytest.mark.parametrize(
    ("claims", "given_up"),
    [
        ({"sub": "17", "sid": "a"}, []),
        ({"sub": "17", "sid": "b"}, ["refresh-1"]),
        ({"sub": "18", "sid": "a"}, ["refresh-1"]),
    ],
)
def test_tokens_that_still_have_to_be_revoked_are_spared_once_new_ones_are_of_the_same_login(claims, given_up):
    client = Client(revocation_endpoint=f"{ISSUER}/revocation")
    client.claims = {"sid": "a"}
    client.log_in()
    client.may_revoke = False
    client.ask(LOGOUT, method="POST")
    assert len(client.revoked) == 1
    client.claims = claims
    assert client.log_in().logged_in
    client.now += 3600
    assert client.given_up() == given_up


def test_an_issuer_that_is_not_the_servers_ends_a_silent_login_as_any_other():
    """RFC 9207: mix-up."""
    client = Client(login_params=["prompt"])
    query = client.begin("next=/hello&prompt=none").replace("code=code-1", "error=login_required")
    done = client.ask(CALLBACK, f"{query}&iss=https://evil.example")
    assert code(done) == (401, "token_rejected")
    assert client.names("login") == []


@pytest.mark.parametrize("state", ["own", "unknown"])
def test_a_callback_in_a_frame_is_refused_whatever_its_state_is(state):
    client = Client()
    query = client.begin()
    sent = query if state == "own" else "code=a-code&state=unknown"
    assert code(client.ask(CALLBACK, sent, IN_A_FRAME)) == (403, "cross_site")
    assert client.issued == 0
    assert client.ask(CALLBACK, query).logged_in


def test_a_callback_through_a_worker_needs_no_click_since_its_state_shows_its_login():
    client = Client()
    assert client.ask(CALLBACK, client.begin(), BY_WORKER).logged_in


def test_a_code_that_has_been_tried_is_refused_as_such_and_an_unknown_state_otherwise():
    client = Client()
    query = client.begin()
    used = query.partition("&")[0]
    assert client.ask(CALLBACK, query).logged_in
    client.jar = {}
    again = client.begin().partition("&")[2]
    assert code(client.ask(CALLBACK, f"{used}&{again}")) == (401, "token_rejected")
    assert code(client.ask(CALLBACK, f"{used}&state=unknown")) == (400, "login_not_started")
    assert client.ask(CALLBACK, f"code=another&{again}").logged_in


def test_a_person_is_in_the_session_as_the_server_says():
    client = Client()
    client.log_in()
    assert client.store.created[0].user == User(issuer=ISSUER, sub="17", name="Ada")
