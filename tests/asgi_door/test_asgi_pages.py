"""What a page asks of the state of an ASGI request, by hand: roles, the account, the profile, an access token."""

from dataclasses import replace
from typing import Any

import pytest

from tests.asgi_door.by_hand import Server, body, guarded, requiring, start, who
from tests.tools.fake_xwms import person
from tests.tools.faults import envelope
from tests.tools.site import NAVIGATION, PROGRAM
from tests.wsgi_door.by_hand import ISSUER, NOW, OAUTH, TOKENS, Store
from xwms_auth import ConfigError, LoginRequired, NotAllowed, Secret, StoreUnavailable, XWMSError
from xwms_auth._core.base.models import EndReason, TokenSet
from xwms_auth.asgi import current_account, refuse, require_user


@pytest.mark.parametrize("is_async", [True, False])
def test_roles_are_asked_for_once_for_a_request_and_of_nobody_not_at_all(is_async):
    asked: list[str] = []

    def roles(user: Any) -> Any:
        asked.append(user.sub)
        return ["admin"]

    async def async_roles(user: Any) -> Any:
        return roles(user)

    server = Server(requiring("admin"), roles=async_roles if is_async else roles)
    assert (server.call().body, asked) == (b"17", ["17"])
    assert (server.call(cookie=False).status, asked) == (302, ["17"])
    assert Server(guarded, roles=roles).call().body == b"17"
    assert asked == ["17"], "the page requires none"


def test_roles_that_cannot_be_had_are_a_refusal():
    def blocked(user: Any) -> Any:
        raise NotAllowed("blocked")

    def down(user: Any) -> Any:
        raise StoreUnavailable("x")

    for roles, status in ((blocked, 403), (down, 503), (lambda user: None, 403), (None, 500)):
        assert Server(requiring("admin"), roles=roles).call(PROGRAM).status == status


def test_a_guard_answers_itself_where_nobody_can_know_who_is_there():
    refused: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        refused.append(await refuse(scope, receive, send, role="admin"))

    server = Server(app, roles=lambda user: ["admin"])
    server.store.error = StoreUnavailable("x")
    assert (server.call(PROGRAM).status, refused) == (503, [True])


class Accounts:
    """A linker; each account is one of a person."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.gone = False

    async def load(self, identity: Any, *, session: object = None) -> Any:
        self.loaded.append(identity.sub)
        return None if self.gone else f"account of {identity.sub}"

    def sign_in(self, user: Any) -> Any:
        raise AssertionError

    link = find = key_of = sign_in

    async def refresh(self, user: Any) -> Any:
        return None


def test_an_account_is_loaded_once_for_a_request_and_one_that_is_gone_ends_the_session():
    accounts = Accounts()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found = [await current_account(scope, accounts) for _ in range(2)]
        await send(start())
        await send(body(str(found[1]).encode()))

    server = Server(app, linker=accounts)
    assert (server.call().body, accounts.loaded) == (b"account of 17", ["17"])
    accounts.gone = True
    answer = server.call()
    assert (answer.status, answer.headers["location"]) == (302, "/xwms/auth?next=/page")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert server.call(PROGRAM).status == 401, "the session has ended in the store"


def test_a_profile_that_was_asked_for_is_saved_and_whoever_is_signed_out_by_then_has_to_log_in(fx):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/refresh":
            assert (await scope["auth"].refresh_profile()).name == "Ada Lovelace"
        name = str(require_user(scope).name).encode()
        await send(start())
        await send(body(name))

    server = Server(app, options={"api_url": fx.api_url})
    fx.answer("get/user/info", envelope({"user": person("17")}))
    assert [server.call(path=path).body for path in ("/page", "/refresh", "/page")] == [
        *(b"None", b"Ada Lovelace", b"Ada Lovelace")
    ]
    assert server.call(path="/refresh", cookie=False).headers["location"].startswith("/xwms/auth")


def test_a_person_whose_account_is_blocked_when_their_profile_is_asked_for_is_refused(fx):
    class Blocks(Accounts):
        async def refresh(self, user: Any) -> Any:
            raise NotAllowed("blocked")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await scope["auth"].refresh_profile()
        except NotAllowed:
            await who(scope, receive, send)

    fx.answer("get/user/info", envelope({"user": person("17")}))
    server = Server(app, options={"api_url": fx.api_url}, linker=Blocks())
    assert server.call(PROGRAM).status == 403
    assert server.store.load(server.handle, now=NOW) is EndReason.REVOKED


def serving(tokens: TokenSet | None, *, catches: bool = False, **more: Any) -> Server:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            found = await scope["auth"].access_token()
        except XWMSError as error:
            if not catches:
                raise LookupError from error
            found = error.code
        await send(start())
        await send(body(found.encode()))

    return Server(app, tokens=tokens, **{"options": OAUTH, **more})


@pytest.mark.more_packages
def test_an_access_token_is_given_to_a_page_and_who_has_none_has_to_log_in():
    assert serving(TOKENS).call().body == b"a-token"
    for server in (serving(None), serving(replace(TOKENS, expires_at=NOW))):
        server.clock.now = NOW + 60.0
        answer = server.call()
        assert (answer.status, answer.headers["location"]) == (302, "/xwms/auth?next=/page&fresh=30")
        assert server.call(PROGRAM).status == 401
    assert serving(TOKENS).call(cookie=False).headers["location"] == "/xwms/auth?next=/page"
    assert serving(None, catches=True).call().body == b"login_required"
    answer = serving(None, options={}).call(PROGRAM)
    assert (answer.status, b"config" in answer.body) == (500, True)


@pytest.mark.more_packages
def test_a_token_that_is_as_it_was_is_given_whenever_and_nothing_is_lost(caplog):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["user"].sub == "17"
        await send(start())
        await send(body((await scope["auth"].access_token()).encode()))

    for server in (Server(app, tokens=TOKENS), serving(TOKENS)):
        assert server.call().body == b"a-token"
    assert "tokens_not_saved" not in caplog.text


@pytest.mark.more_packages
def test_a_store_that_is_down_when_a_token_is_due_is_a_503_whatever_the_page_makes_of_it():
    class Broken(Store):
        def claim(self, name: str, *, until: int, now: int) -> bool:
            raise StoreUnavailable("x")

    old = replace(TOKENS, expires_at=NOW, refresh_token=Secret("refresh-me"))
    named = {f"{name}_endpoint": f"{ISSUER}/{name}" for name in ("authorization", "token", "userinfo", "revocation")}
    server = serving(old, store=Broken(), options={**OAUTH, **named, "scopes": "profile"})
    assert server.call(PROGRAM).status == 503


def test_errors_of_the_settings_are_ours():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ConfigError):
            scope["auth"].known_roles()
        with pytest.raises(LoginRequired):
            require_user(scope)
        await send(start(status=500))
        await send(body())

    assert Server(app).call(NAVIGATION, cookie=False).status == 302
