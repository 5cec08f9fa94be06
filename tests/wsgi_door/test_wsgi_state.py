"""The state of a WSGI request, by hand: who is there, in one application and in several, and what pages ask for."""

import weakref
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.fake_xwms import person
from tests.tools.faults import envelope
from tests.tools.site import PROGRAM
from tests.wsgi_door.by_hand import (
    HOST,
    ISSUER,
    NOW,
    OAUTH,
    OTHER_HOST,
    OTHER_URI,
    TEXT,
    TOKENS,
    URI,
    Server,
    Store,
    who,
)
from xwms_auth import Secret, StoreUnavailable, User, XWMSError
from xwms_auth._core.base.models import TokenSet
from xwms_auth.accounts import Hooks
from xwms_auth.wsgi import current_user, login_required, require


def twice(environ: Any, start_response: Any) -> Any:
    subs = [current_user.sub or "nobody" for _ in range(2)]
    start_response("200 OK", TEXT)
    return [" ".join(subs).encode()]


# --- who is there ----------------------------------------------------------------------------------------------------


def test_a_session_is_looked_up_once_for_a_request():
    server = Server(twice)
    assert server.call()[2] == b"17 17"
    assert server.store.loads == 1
    assert server.call(cookie=False)[2] == b"nobody nobody"
    assert server.store.loads == 1


def test_with_one_redirect_uri_every_host_is_its_own_and_with_several_only_those():
    assert Server(who).call(HTTP_HOST="10.0.0.1")[2] == b"17"
    server = Server(who, options={"redirect_uris": [URI, OTHER_URI]})
    asked = {host: server.call(HTTP_HOST=host)[2] for host in (HOST, OTHER_HOST, "10.0.0.1")}
    assert asked == {HOST: b"17", OTHER_HOST: b"17", "10.0.0.1": b"nobody"}


@pytest.mark.parametrize(("error", "code"), [(StoreUnavailable("x"), 503), (RuntimeError("x"), 500)])
def test_a_lookup_that_fails_is_told_each_time_that_somebody_asks_and_never_nobody(error, code):
    def asks_twice(environ: Any, start_response: Any) -> Any:
        with pytest.raises(XWMSError):
            current_user.is_authenticated  # noqa: B018
        return who(environ, start_response)

    server = Server(asks_twice)
    server.store.error = error
    status, headers, _ = server.call(PROGRAM)
    assert status.startswith(str(code))
    assert headers["cache-control"] == "no-store"
    assert server.store.loads == 1


def test_a_page_of_ones_own_for_a_lookup_that_failed_is_not_stored():
    def fine(environ: Any, start_response: Any) -> Any:
        with pytest.raises(StoreUnavailable):
            current_user.is_authenticated  # noqa: B018
        headers = [*TEXT, ("Cache-Control", "max-age=60")]
        start_response("200 OK", headers)
        return [str(headers).encode()]

    server = Server(fine)
    server.store.error = StoreUnavailable("x")
    status, headers, body = server.call()
    assert (status, headers["cache-control"]) == ("200 OK", "no-store, max-age=60")
    assert b"no-store" not in body, "the application's own list"


# --- inside another one of the same client ---------------------------------------------------------------------------


def nested(*layers: Any, app: Any = who) -> Server:
    """A server, and inside its application others: each layer is the options of one, the outermost first."""
    held: list[Any] = []
    server = Server(lambda environ, start_response: held[0](environ, start_response))
    for options in reversed(layers):
        app = server.inside(app, **options)
    held[:] = [app]
    return server


def test_the_limits_of_each_application_apply():
    for layers in ([{"session_idle": 1000}], [{}, {"session_idle": 1000}], [{"session_idle": 1000}, {}]):
        server = nested(*layers)
        server.clock.now = NOW + 999.0
        assert server.call()[2] == b"17"
        server = nested(*layers)
        server.clock.now = NOW + 1000.0
        assert server.call()[2] == b"nobody"


def test_an_inner_application_whose_hooks_nobody_would_call_is_an_error_whatever_is_inside_of_it():
    for layers in ([{"hooks": Hooks()}], [{}, {"hooks": Hooks()}], [{"hooks": Hooks()}, {}]):
        status, _, body = nested(*layers, app=login_required(who)).call(PROGRAM)
        assert (status, b"config" in body) == ("500 Internal Server Error", True)


@pytest.mark.parametrize("error", [StoreUnavailable("x"), LookupError("x")])
def test_an_inner_application_that_cannot_look_says_so_and_not_nobody(error):
    """The limits of the inner one make another look-up due, and the store is down by then."""
    server = nested({"recheck": 30}, app=login_required(who))
    server.clock.now = NOW + 30.0
    server.store.error, server.store.good_loads = error, 1
    is_ours = isinstance(error, StoreUnavailable)
    assert server.call(PROGRAM)[0] == ("503 Service Unavailable" if is_ours else "500 Internal Server Error")
    assert server.store.loads == 2


def test_a_renewal_that_is_due_further_in_only_sets_the_cookie():
    server = nested({"session_idle": 1000})
    server.clock.now = NOW + 51.0
    _, headers, body = server.call()
    assert (body, server.handle in headers.get("set-cookie", "")) == (b"17", True)


def test_each_application_answers_for_what_is_inside_of_it():
    def own(text: str) -> Any:
        def answer(environ: Any, start_response: Any) -> Any:
            start_response("418 Teapot", TEXT)
            return [text.encode()]

        return lambda environ, problem: answer

    app = login_required(who)
    for layers, expected in (
        ([{"unauthorized": own("inner")}], b"inner"),
        ([{"unauthorized": own("inner")}, {}], b"inner"),
        ([{"unauthorized": own("inner")}, {"unauthorized": own("innermost")}], b"innermost"),
    ):
        assert nested(*layers, app=app).call(cookie=False)[2] == expected


def test_each_application_knows_the_roles_of_what_is_inside_of_it():
    def roles(name: str) -> Any:
        return lambda user: [name]

    for layers, known in (
        ([{"roles": roles("inner")}], {"inner"}),
        ([{"roles": roles("inner")}, {}], {"inner"}),
        ([{"roles": roles("inner")}, {"roles": roles("innermost")}], {"innermost"}),
    ):
        for name in ("inner", "innermost"):
            status, _, _ = nested(*layers, app=require(role=name)(who)).call()
            assert status == ("200 OK" if name in known else "403 Forbidden"), (layers, name)


# --- what a page can ask for -----------------------------------------------------------------------------------------


class Accounts:
    """A linker; each account is one of a person, loaded in a session."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, object]] = []
        self.gone = False

    def load(self, identity: Any, *, session: object = None) -> Any:
        self.loaded.append((identity.sub, session))
        return None if self.gone else f"account of {identity.sub}"

    def sign_in(self, user: Any) -> Any:
        raise AssertionError

    link = refresh = find = key_of = sign_in


def test_an_account_is_loaded_once_for_a_request_and_one_that_is_gone_ends_the_session():
    accounts, auth = Accounts(), []

    def app(environ: Any, start_response: Any) -> Any:
        account = [auth[0].account(environ) for _ in range(2)][1]
        start_response("200 OK", TEXT)
        return [account.encode()]

    server = Server(app, linker=accounts)
    auth.append(server.auth)
    assert server.call()[2] == b"account of 17"
    assert accounts.loaded == [("17", None)]
    accounts.gone = True
    status, headers, _ = server.call()
    assert (status, headers["location"]) == ("302 Found", "/xwms/auth?next=/page")
    assert "Max-Age=0" in headers["set-cookie"]
    assert server.call(PROGRAM)[0] == "401 Unauthorized", "the session has ended in the store"


def test_roles_are_asked_for_once_for_a_request_and_of_nobody_there_are_none():
    asked: list[str] = []

    def roles(user: User) -> list[str]:
        asked.append(user.sub)
        return ["admin"]

    guarded = require(role="admin")(require(role="admin")(who))
    server = Server(guarded, roles=roles)
    assert server.call()[2] == b"17"
    assert asked == ["17"]
    assert server.call(cookie=False)[0] == "302 Found"
    assert asked == ["17"]
    for status, app, more in (
        ("403 Forbidden", guarded, {"roles": lambda user: None}),
        ("500 Internal Server Error", guarded, {}),
    ):
        assert Server(app, **more).call(PROGRAM)[0] == status


def token(auth: list[Any], *, catches: bool = False, starts: bool = False) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        if starts:
            start_response("200 OK", TEXT)
        try:
            found = auth[0].access_token(environ)
        except XWMSError as error:
            if not catches:
                raise
            found = error.code
        if not starts:
            start_response("200 OK", TEXT)
        return [found.encode()]

    return app


def serving(tokens: TokenSet | None, **more: Any) -> Server:
    auth: list[Any] = []
    server = Server(token(auth, **more), tokens=tokens, options=OAUTH)
    auth.append(server.auth)
    return server


@pytest.mark.more_packages
def test_an_access_token_is_given_to_a_page_and_who_has_none_has_to_log_in():
    assert serving(TOKENS).call()[2] == b"a-token"
    for server in (serving(None), serving(replace(TOKENS, expires_at=NOW))):
        server.clock.now = NOW + 60.0
        status, headers, _ = server.call()
        assert (status, headers["location"]) == ("302 Found", "/xwms/auth?next=/page&fresh=30")
        status, _, body = server.call(PROGRAM)
        assert (status, b"login_required" in body or b"login_too_old" in body) == ("401 Unauthorized", True)
    assert serving(TOKENS).call(cookie=False)[1]["location"] == "/xwms/auth?next=/page"
    assert serving(None, catches=True).call()[2] == b"login_required"
    auth: list[Any] = []
    server = Server(token(auth))
    auth.append(server.auth)
    status, _, body = server.call(PROGRAM)
    assert (status, b"config" in body) == ("500 Internal Server Error", True)


@pytest.mark.more_packages
def test_a_token_that_is_as_it_was_is_given_whenever_and_nothing_is_lost(caplog):
    auth: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        assert current_user.sub == "17"
        start_response("200 OK", TEXT)
        return [auth[0].access_token(environ).encode()]

    server = Server(app, tokens=TOKENS)
    auth.append(server.auth)
    assert server.call()[2] == serving(TOKENS).call()[2] == b"a-token"
    assert "tokens_not_saved" not in caplog.text


@pytest.mark.more_packages
def test_a_store_that_is_down_when_a_token_is_due_is_a_503_whatever_the_page_makes_of_it():
    class Broken(Store):
        def claim(self, name: str, *, until: int, now: int) -> bool:
            raise StoreUnavailable("x")

    auth: list[Any] = []
    app = token(auth)

    def makes_it_another(environ: Any, start_response: Any) -> Any:
        try:
            return app(environ, start_response)
        except StoreUnavailable as error:
            raise LookupError from error

    old = replace(TOKENS, expires_at=NOW, refresh_token=Secret("refresh-me"))
    named = {f"{name}_endpoint": f"{ISSUER}/{name}" for name in ("authorization", "token", "userinfo", "revocation")}
    server = Server(makes_it_another, tokens=old, store=Broken(), options={**named, "scopes": "profile"})
    auth.append(server.auth)
    assert server.call(PROGRAM)[0] == "503 Service Unavailable"


def test_a_profile_that_was_asked_for_is_saved_and_whoever_is_signed_out_by_then_has_to_log_in(fx):
    auth: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/refresh":
            auth[0].refresh_profile(environ)
        return login_required(named)(environ, start_response)

    def named(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return [str(current_user.name).encode()]

    server = Server(app, options={"api_url": fx.api_url})
    auth.append(server.auth)
    fx.answer("get/user/info", envelope({"user": {**person("17"), "name": "Ada King"}}))
    assert [server.call(PATH_INFO=path)[2] for path in ("/page", "/refresh", "/page")] == [
        *(b"None", b"Ada King", b"Ada King")
    ]
    assert server.call(PATH_INFO="/refresh", cookie=False)[1]["location"].startswith("/xwms/auth")


@pytest.mark.parametrize("asks", [True, False])
def test_what_is_kept_of_a_request_that_has_ended_does_not_keep_its_environment_and_still_knows_who_it_was(asks):
    class Big:
        pass

    def app(environ: Any, start_response: Any) -> Any:
        if asks:
            assert current_user.sub in ("17", None)
        start_response("200 OK", TEXT)
        return iter([b"x"]) if environ["PATH_INFO"] == "/streamed" else [b"x"]

    for path in ("/streamed", "/whole"):
        for cookie in (True, False):
            server, big = Server(app, options={"redirect_uris": [URI, OTHER_URI]}), Big()
            environ = server.environ(PATH_INFO=path, cookie=cookie, big=big)
            body = server.auth(environ, server.start_response)
            assert b"".join(body) == b"x"
            getattr(body, "close", lambda: None)()
            state, known = environ["xwms_auth.state"], weakref.ref(big)
            del environ, big, body
            assert known() is None
            assert state.user().sub == ("17" if cookie else None)
            assert server.store.loads == (1 if cookie else 0)
