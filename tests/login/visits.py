"""A browser at an application, without any I/O: every step of `routes.serve` is run, and XWMS's replies are played."""

from collections.abc import Mapping
from typing import Any

from tests.login.test_flow_steps import NOW, URI, answer, headers
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN
from xwms_auth import StoreUnavailable, XWMSConfig
from xwms_auth._core.base.effects import Runtime, UpstreamResponse, run
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request, Response
from xwms_auth._core.login import routes
from xwms_auth._core.login.select import provider_of
from xwms_auth.stores.memory import MemoryStore

KEY = "0123456789abcdefghijklmnopqrstuv"
ADA = answer(sub="17", name="Ada", email="ada@example.org", email_verified=True)
REFUSED = UpstreamResponse(status=401, content_type="application/json", body=b'{"status": "error", "message": "No."}')
DOWN = UpstreamResponse(status=503, content_type="text/plain", body=b"")


def context_of(**options: Any) -> Context:
    given = {"client_id": "id", "client_secret": "secret", "redirect_uris": URI, "session_secret": KEY, **options}
    return Context.of(XWMSConfig(**given))


class NotingStore(MemoryStore):
    """Notes what it is asked, without the names of logins and tokens. `down` are the kinds that it refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.untils: dict[str, int] = {}
        self.created: list[Any] = []
        self.loaded: Any = None
        self.down: tuple[str, ...] = ()

    def note(self, what: str, name: str = "") -> None:
        kind = f"{what} {name.partition('/')[0]}".rstrip()
        self.notes.append(kind)
        if kind in self.down:
            raise StoreUnavailable("the store is down")

    def claim(self, name: str, *, until: int, now: int) -> bool:
        self.note("claim", name)
        self.untils[name.partition("/")[0]] = until
        return super().claim(name, until=until, now=now)

    def claimed(self, names: Any, *, now: int) -> Any:
        for name in names:
            self.note("claimed", name)
        return super().claimed(names, now=now)

    def release(self, name: str) -> None:
        self.note("release", name)
        super().release(name)

    def load(self, handle: str, *, now: int) -> Any:
        self.note("load")
        self.loaded = super().load(handle, now=now)
        return self.loaded

    def drop(self, handle: str, **more: Any) -> Any:
        self.note("drop")
        return super().drop(handle, **more)

    def create(self, session: Any, **more: Any) -> str:
        self.note("create")
        self.created.append(session)
        return super().create(session, **more)


class Visit:
    """One browser, and the process that it comes to. `reply` is XWMS's to a token, or the error of asking it."""

    def __init__(self, shop: Any = None, *, store: Any = None, **options: Any) -> None:
        self.site = context_of(**options)
        self.shop, self.store, self.now = shop, store or NotingStore(), NOW
        self.reply: UpstreamResponse | Exception = ADA
        self.ticket: dict[str, Any] = {"url": "https://xwms.nl/login"}
        self.jar: dict[str, str] = {}
        self.issued = 0
        self.spent: list[str] = []

    def send(self, call: Any) -> UpstreamResponse:
        """What XWMS says to a call."""
        if call.path == "sign-token":
            self.issued += 1
            return answer(token=self.token, **self.ticket)
        self.spent.append(call.body.decode().partition('"token": "')[2].partition('"')[0])
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    @property
    def token(self) -> str:
        """What sign-token gave for the newest login."""
        return f"token-of-sign-token-{self.issued}"

    def ask(
        self,
        path: str,
        query: str = "",
        sent: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        address: object = None,
        **form: str,
    ) -> Response:
        """One request of this browser, which keeps the cookies of the answer."""
        sent = sent or (FROM_ELSEWHERE if path == CALLBACK else FROM_HERE)
        request = Request(
            method=method,
            path=path,
            query=query,
            target=f"{path}?{query}",
            headers=headers(sent),
            cookie="; ".join(f"{name}={value}" for name, value in self.jar.items()),
            form=form,
            address=address,
        )
        steps = routes.serve(self.site, provider_of(self.site), request, now=self.now, application=self.shop)
        done = run(steps, Runtime(self, self.store))  # type: ignore[arg-type]
        for name, value in cookies_of(done).items():
            self.jar.pop(name, None)
            if value:
                self.jar[name] = value
        return done

    def start(self, query: str = "next=/hello", sent: Mapping[str, str] | None = None, **more: Any) -> str:
        """Start a login; gives sign-token's token."""
        begun = self.ask(LOGIN, query, sent, **more)
        assert begun.status == 302, begun
        return self.token

    def come_back(self, token: str, sent: Mapping[str, str] | None = None) -> Response:
        return self.ask(CALLBACK, f"token={token}", sent)

    def log_in(self, *, link: bool = False) -> Response:
        return self.come_back(self.start(method="POST", link="1") if link else self.start())

    def names(self, kind: str) -> list[str]:
        """The browser's cookies of a kind: session, login, ahead."""
        return [name for name in self.jar if f"xwms_{kind}_" in name]

    def is_in(self) -> bool:
        return bool(self.names("session"))


def cookies_of(done: Response) -> dict[str, str]:
    """The cookies that an answer sets, each once; one that it deletes is empty."""
    pairs = [value.partition(";")[0].partition("=") for name, value in done.header_list() if name == "Set-Cookie"]
    found = {name: value for name, _, value in pairs}
    assert len(found) == len(pairs)
    return found


def location(done: Response) -> str:
    return dict(done.headers)["Location"]


def code(done: Response) -> tuple[int, str]:
    assert done.error is not None
    return done.status, done.error.code


def confirm(visit: Visit, waiting: Response) -> Response:
    """Say yes on the page that an answer leads to."""
    url, _, key = location(waiting).partition("&confirm=")
    return visit.ask(LOGIN, url.partition("?")[2], method="POST", confirm=key)
