"""The state of an ASGI request, by hand: who is there, in one application and in several."""

import asyncio
from contextvars import Context
from typing import Any

import pytest

from tests.asgi_door.by_hand import Remote, Server, body, guarded, requiring, start, who
from tests.tools.site import PROGRAM
from tests.wsgi_door.by_hand import HOST, NOW, OTHER_HOST, OTHER_URI, URI, Store
from xwms_auth import StoreUnavailable, XWMSError
from xwms_auth._core.base.models import EndReason
from xwms_auth.accounts import Hooks
from xwms_auth.asgi import current_user, require_user

STORES = pytest.mark.parametrize("kind", [Store, Remote])


# --- who is there ---


@STORES
def test_a_session_is_looked_up_once_for_a_request(kind):
    async def twice(scope: Any, receive: Any, send: Any) -> None:
        found = [scope["user"].sub, current_user.sub, scope["auth"].session() and "session"]
        await send(start())
        await send(body(str(found).encode()))

    server = Server(twice, store=kind())
    assert server.call().body == b"['17', '17', 'session']"
    assert server.store.loads == 1
    assert server.call(cookie=False).body == b"[None, None, None]"
    assert server.store.loads == 1


@STORES
def test_with_one_redirect_uri_every_host_is_its_own_and_with_several_only_those(kind):
    assert Server(who, store=kind()).call(host="10.0.0.1").body == b"17"
    server = Server(who, store=kind(), options={"redirect_uris": [URI, OTHER_URI]})
    asked = {host: server.call(host=host).body for host in (HOST, OTHER_HOST, "10.0.0.1")}
    assert asked == {HOST: b"17", OTHER_HOST: b"17", "10.0.0.1": b"None"}
    scope = server.scope(host="app.")
    scope["headers"].append((b"host", b"example"))
    assert server.run(scope).body == b"None", "two names are that of no host"


@STORES
def test_a_cookie_header_may_come_in_pieces(kind):
    """HTTP/2 allows that (RFC 9113 8.2.3)."""
    server = Server(who, store=kind())
    scope = server.scope(cookie=False)
    scope["headers"] += [(b"cookie", b"a=b"), (b"cookie", server.cookie.encode()), (b"cookie", b"c=d")]
    assert server.run(scope).body == b"17"


@STORES
@pytest.mark.parametrize(("error", "status"), [(StoreUnavailable("x"), 503), (LookupError("x"), 500)])
def test_a_lookup_that_fails_is_told_each_time_that_somebody_asks_and_never_nobody(kind, error, status):
    async def asks_twice(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(XWMSError):
            assert scope["user"].is_authenticated
        await who(scope, receive, send)

    async def asks_nobody(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"home"))

    async def a_page_of_its_own(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(XWMSError):
            assert scope["user"].is_authenticated
        await send(start((b"cache-control", b"public, max-age=60")))
        await send(body(b"mine"))

    server = Server(asks_twice, store=kind())
    server.store.error = error
    answer = server.call(PROGRAM)
    assert (answer.status, answer.headers["cache-control"], server.store.loads) == (status, "no-store", 1)
    for app, cached in ((asks_nobody, None), (a_page_of_its_own, "no-store, max-age=60")):
        server = Server(app, store=kind())
        server.store.error = error
        answer = server.call()
        assert (answer.status, answer.headers.get("cache-control")) == (200, cached)


@STORES
def test_a_page_that_asks_nobody_does_not_depend_on_the_session(kind):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"home"))

    answer = Server(app, store=kind()).call()
    assert answer.headers == {"content-type": "text/plain"}


@STORES
def test_the_scopes_of_starlette_are_those_of_whoever_is_signed_in_and_guard_the_page(kind):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes = scope["auth"].scopes
        await send(start((b"cache-control", b"public")))
        await send(body(",".join(scopes).encode()))

    server = Server(app, store=kind())
    answer = server.call()
    assert (answer.body, answer.headers["cache-control"]) == (b"authenticated", "private")
    answer = server.call(cookie=False)
    assert (answer.body, answer.headers["cache-control"]) == (b"", "public")


def test_what_outlives_a_request_acts_for_nobody():
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(scope["auth"])
        assert kept[-1].is_of(scope)
        assert kept[-1].is_of({**scope, "headers": list(scope["headers"])}) is bool(scope["headers"])
        assert not kept[-1].is_of(
            {**scope, "headers": [(name, bytes(bytearray(value))) for name, value in scope["headers"]]}
        )
        await who(scope, receive, send)

    server = Server(app)
    scope = server.scope()
    assert server.run(scope).body == b"17"
    assert not kept[0].is_of(scope)
    assert kept[0].finished
    assert kept[0].scope is not scope
    assert kept[0].user().sub == "17", "an access log may still ask"
    bare = server.scope()
    bare["headers"] = []
    assert server.run(bare).body == b"None"


def test_another_authentication_in_between_does_not_hide_who_is_there():
    async def page(scope: Any, receive: Any, send: Any) -> None:
        sub = require_user(scope).sub
        await send(start())
        await send(body(sub.encode()))

    async def between(scope: Any, receive: Any, send: Any) -> None:
        await page({**scope, "auth": "of another middleware"}, receive, send)

    async def of_another_request(scope: Any, receive: Any, send: Any) -> None:
        await page({**scope, "auth": None, "headers": []}, receive, send)

    async def without_context(scope: Any, receive: Any, send: Any) -> None:
        sub = Context().run(require_user, scope).sub
        await send(start())
        await send(body(sub.encode()))

    for app in (between, without_context):
        assert Server(app).call().body == b"17"
    with pytest.raises(RuntimeError, match="XWMSAuthMiddleware is not installed"):
        Server(of_another_request).call()
    with pytest.raises(RuntimeError, match="XWMSAuthMiddleware is not installed"):
        asyncio.run(page({"type": "http", "headers": []}, None, None))


def test_sessions_are_listed_and_ended_for_the_person_of_the_request():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        sessions = scope["auth"].sessions
        found = [one.is_current for one in await sessions.list("17")]
        await sessions.revoke_all("17")
        await send(start())
        await send(body(str(found).encode()))

    server = Server(app)
    assert server.call().body == b"[True]"
    assert server.store.load(server.handle, now=NOW) is EndReason.REVOKED
    server = Server(app)
    assert server.call(cookie=False).body == b"[False]"


def test_an_error_of_the_sessions_is_answered_by_us():
    class Down(Store):
        def list(self, identity: Any, *, now: int) -> Any:
            raise StoreUnavailable("x")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["auth"].sessions.list("17")

    assert Server(app, store=Down()).call(PROGRAM).status == 503


# --- inside another one of the same client ---


def nested(*layers: Any, app: Any = guarded, **more: Any) -> Server:
    """A server, and inside its application others: each layer is the options of one, the outermost first."""
    held: list[Any] = []

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await held[0](scope, receive, send)

    server = Server(outer, **more)
    for options in reversed(layers):
        app = server.inside(app, **options)
    held[:] = [app]
    return server


@STORES
def test_the_limits_of_each_application_apply(kind):
    for layers in ([{"session_idle": 1000}], [{}, {"session_idle": 1000}], [{"session_idle": 1000}, {}]):
        for later, status in ((999.0, 200), (1000.0, 302)):
            server = nested(*layers, store=kind())
            server.clock.now = NOW + later
            assert server.call().status == status


@STORES
def test_an_inner_application_whose_hooks_nobody_would_call_is_an_error_whatever_is_inside_of_it(kind):
    for layers in ([{"hooks": Hooks()}], [{}, {"hooks": Hooks()}], [{"hooks": Hooks()}, {}]):
        answer = nested(*layers, store=kind()).call(PROGRAM)
        assert (answer.status, b"config" in answer.body) == (500, True)


def test_each_application_answers_for_what_is_inside_of_it():
    def own(text: str) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await send({**start((b"cache-control", b"public")), "status": 418})
            await send(body(text.encode()))

        return lambda scope, problem: answer

    for layers, more, expected in (
        ([], {"unauthorized": own("outer")}, b"outer"),
        ([{"unauthorized": own("inner")}], {"unauthorized": own("outer")}, b"inner"),
        ([{"unauthorized": own("inner")}, {}], {}, b"inner"),
    ):
        answer = nested(*layers, **more).call(cookie=False)
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (418, expected, "no-store")


def test_each_application_knows_the_roles_of_what_is_inside_of_it():
    def roles(name: str) -> Any:
        return lambda user: [name]

    for layers, more, known in (
        ([], {"roles": roles("outer")}, "outer"),
        ([{"roles": roles("inner")}], {"roles": roles("outer")}, "inner"),
        ([{"roles": roles("inner")}, {}], {}, "inner"),
    ):
        for name in ("inner", "outer"):
            status = nested(*layers, app=requiring(name), **more).call().status
            assert status == (200 if name == known else 403), (layers, name)
