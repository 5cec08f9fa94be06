"""A WSGI server of a test around an application in ours, with a person who is signed in without a login."""

from typing import Any

from tests.tools.site import NAVIGATION
from xwms_auth import Secret, User, XWMSConfig
from xwms_auth._core.base.models import TokenSet
from xwms_auth._core.base.session import Session
from xwms_auth.stores.memory import MemoryStore
from xwms_auth.wsgi import XWMSAuth, current_user

NOW = 1_800_000_000
HOST, OTHER_HOST = "app.example", "other.example"
URI, OTHER_URI = (f"https://{host}/xwms/validateToken" for host in (HOST, OTHER_HOST))
ISSUER = "https://as.example"
TEXT = [("Content-Type", "text/plain")]
DUE = 601  # seconds after which a session is renewed
OAUTH = {"flow": "oauth2", "issuer": ISSUER}
TOKENS = TokenSet(access_token=Secret("a-token"), refresh_token=None, id_token=None, scope=(), expires_at=NOW + 900)

SIGNS_OF_ACTIVITY: list[tuple[Any, bool]] = [
    ({}, True),
    ({"Xwms-Passive": "1"}, False),
    ({"Xwms-Passive": "1", "Sec-Fetch-Site": "same-origin"}, False),
    ({"Xwms-Passive": "1", "Sec-Fetch-Site": "cross-site"}, True),
    ("decorated", False),
]
"""Headers of a request, or a view that says so itself; and whether an active person sent it."""


class Store(MemoryStore):
    """Counts the look-ups, and fails as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.good_loads = 0
        """How many look-ups do not fail."""
        self.error: Exception | None = None

    def load(self, handle: str, *, now: int) -> Any:
        self.loads += 1
        if self.error is not None and self.loads > self.good_loads:
            raise self.error
        return super().load(handle, now=now)


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


class AnyServer:
    """A server of either kind with an application inside of ours, and one person who is signed in."""

    door: Any
    """The class of ours that the application is in."""

    def __init__(
        self, app: Any, *, tokens: TokenSet | None = None, options: Any = (), store: Store | None = None, **more: Any
    ) -> None:
        """`options` are those of the config, and `more` those of the door."""
        self.clock, self.store = Clock(), store or Store()
        self.options: dict[str, Any] = {"redirect_uris": URI, "session_store": self.store, **dict(options)}
        if tokens is not None:
            self.options |= OAUTH
        self.config = self.configured()
        self.auth = self.door(app, self.config, clock=self.clock, **more)
        user = User(issuer=self.config.issuer, sub="17")
        session = Session(id="", user=user, started_at=NOW, seen_at=NOW, tokens=tokens)
        self.handle = self.store.create(session, until=NOW + 90_000, now=NOW)
        self.cookie = f"__Host-xwms_session_{self.config.cookie_tag}={self.handle}"

    def configured(self, **more: Any) -> XWMSConfig:
        return XWMSConfig(
            client_id="id",
            client_secret="secret",
            session_secret="0123456789abcdefghijklmnopqrstuv",
            **{**self.options, **more},
        )

    def inside(self, app: Any, **more: Any) -> Any:
        """Another application of the same client, with options of its own."""
        options = {name: more.pop(name) for name in list(more) if name in XWMSConfig.__dataclass_fields__}
        return self.door(app, self.configured(**options), clock=self.clock, **more)


class Server(AnyServer):
    """A WSGI server, and what it is told in order."""

    door = XWMSAuth

    def __init__(self, app: Any, **more: Any) -> None:
        super().__init__(app, **more)
        self.started: list[tuple[str, dict[str, str], Any]] = []
        self.sent: list[bytes] = []

    def start_response(self, status: str, headers: Any, *error: Any) -> Any:
        assert type(headers) is list
        assert error not in ((None,), ((None, None, None),)), "many middlewares take no third argument"
        self.started.append((status, {name.lower(): value for name, value in headers}, *(error or (None,))))
        return self.sent.append

    def environ(self, headers: Any = NAVIGATION, *, cookie: bool = True, **more: Any) -> dict[str, Any]:
        named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/page", "HTTP_HOST": HOST, "wsgi.url_scheme": "https"}
        return environ | named | ({"HTTP_COOKIE": self.cookie} if cookie else {}) | more

    def call(self, headers: Any = NAVIGATION, **more: Any) -> tuple[str, dict[str, str], bytes]:
        """One request: the status, the headers and the body that the server is told last."""
        self.started.clear()
        self.sent.clear()
        body = self.auth(self.environ(headers, **more), self.start_response)
        try:
            self.sent.extend(body)
        finally:
            getattr(body, "close", lambda: None)()
        status, given, _ = self.started[-1]
        return status, given, b"".join(self.sent)


def who(environ: Any, start_response: Any) -> Any:
    sub = current_user.sub or "nobody"
    start_response("200 OK", TEXT)
    return [sub.encode()]
