"""A developer's story: the dashboard of a local XWMS on one side, an app with the package on the other.

Both are real: the sandbox listens on a port, the app is Flask or Starlette, and all that passes between them is HTTP.

Knows: how a person uses the dashboard, and how a browser goes through a login.
Must not: look behind either, or assert what a statement is about.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from starlette.testclient import TestClient

from tests.tools.clock import Clock
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, PROGRAM, asgi_app, flask_app
from xwms_auth import XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings

LOCALHOST = "http://localhost:5000/xwms/validateToken"
SHOP = "https://shop.example/xwms/validateToken"
STAGING = "https://staging.shop.example/xwms/validateToken"


@dataclass(frozen=True)
class Credentials:
    """What the dashboard gave a developer to take along, and the page of the client."""

    page: str
    client_id: str
    secret: str


class Dashboard:
    """A person at the dashboard."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, follow_redirects=True)
        self.pages: list[str] = []

    def close(self) -> None:
        self._http.close()

    def open(self, path: str) -> httpx2.Response:
        """The page at a path below /dashboard."""
        return self._keep(self._http.get(f"/dashboard{path}"))

    def text(self, path: str) -> str:
        """What a person reads there: without tags and with single spaces."""
        answer = self.open(path)
        assert answer.status_code == 200, answer.text
        return words(answer)

    def send(self, page: str, action: str = "", **fields: object) -> httpx2.Response:
        """On a page, fill in the first form whose address ends with `action`, and send it.

        Boxes stay ticked as the page shows them; None unticks one.
        """
        answer = self.open(page)
        for form in re.findall(r"<form.*?</form>", answer.text, re.S):
            address = re.search(r'action="([^"]*)"', form)
            if address and html.unescape(address[1]).endswith(action) and not address[1].endswith("/leave"):
                hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
                kept: dict[str, Any] = {name: html.unescape(value) for name, value in hidden}
                for name, value in re.findall(r'<input type="checkbox" name="([^"]+)" value="([^"]*)" checked', form):
                    kept.setdefault(name, []).append(value)
                data = {name: value for name, value in (kept | fields).items() if value is not None}
                return self._keep(self._http.post(html.unescape(address[1]), data=data))
        raise AssertionError(f"no form for {action!r} at {page}: {words(answer)}")

    def send_raw(self, path: str, **fields: object) -> httpx2.Response:
        """Post these fields straight to a path, with a valid token from the page of the clients."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.open("/clients").text)
        return self._keep(self._http.post(f"/dashboard{path}", data={"csrf_token": token and token[1], **fields}))

    def register(self, account: str = "Flower shop", name: str = "Ada", email: str = "ada@shop.example") -> None:
        assert self.send("/register", "/register", account=account, name=name, email=email).status_code == 200

    def activate_plan(self) -> None:
        assert self.send("/plan", "/plan", plan="client").status_code == 200

    def create_client(self, name: str = "Shop", domain: str = "shop.example", uri: str = SHOP) -> Credentials:
        """Make a client, and copy its credentials from the page that shows them."""
        answer = self.send("/clients/new", "/new", name=name, domain=domain, redirect_uri=uri)
        assert answer.status_code == 200, words(answer)
        link = re.search(r'href="/dashboard(/clients/\d+)">I have copied it', answer.text)
        assert link, words(answer)
        return Credentials(link[1], copied(answer, "client-id"), copied(answer, "client-secret"))

    def enter_as(self, name: str) -> None:
        """Go on as another member."""
        self.send_raw("/leave")
        button = re.search(
            rf'name="member" value="(\d+)">(?:(?!</button>).)*{re.escape(name)}', self.open("").text, re.S
        )
        assert button, f"no member {name}"
        self.send("", "/enter", member=button[1])

    def _keep(self, answer: httpx2.Response) -> httpx2.Response:
        self.pages.append(answer.text)
        return answer


def copied(answer: httpx2.Response, name: str) -> str:
    """What the copy button beside a value copies."""
    found = re.search(rf'<code id="{name}">([^<]+)</code>', answer.text)
    assert found, words(answer)
    return html.unescape(found[1])


def words(answer: httpx2.Response) -> str:
    """What a person reads on a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


class App:
    """An app with the package, and one browser in front of it."""

    def __init__(self, edge: str, config: XWMSConfig, clock: Callable[[], float], origin: str | None = None) -> None:
        self._config = config
        base = origin or config.registered[0].origin
        if edge == "flask":
            self._http: Any = httpx2.Client(
                transport=httpx2.WSGITransport(flask_app(config, clock)), base_url=base, follow_redirects=False
            )
        else:
            self._http = TestClient(asgi_app(config, clock), base_url=base, follow_redirects=False)
        self.pages: list[str] = []

    def get(self, url: str, headers: Mapping[str, str] = FROM_HERE) -> httpx2.Response:
        answer: httpx2.Response = self._http.get(url, headers=dict(headers))
        self.pages.append(f"{answer.headers}{answer.text}")
        return answer

    def start(self) -> httpx2.Response:
        """Press "Log in"."""
        return self.get("/xwms/auth")

    def log_in(self, person: str = "1001") -> httpx2.Response:
        """The whole way: to XWMS, choose who to be, agree, and back; the answer to the callback."""
        begun = self.start()
        assert begun.status_code == 302, begun.text
        answer = choose(begun.headers["location"], person)
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["location"], FROM_ELSEWHERE)

    def use_another_browser(self) -> None:
        """Somebody else comes, to the same running app."""
        self._http.cookies.clear()

    def who(self) -> str | None:
        """The sub of who is signed in, or None."""
        answer = self.get("/who", PROGRAM)
        assert answer.status_code in (200, 401), answer.text
        return answer.text if answer.status_code == 200 else None

    def close(self) -> None:
        self._http.close()


def choose(url: str, person: str) -> httpx2.Response:
    """Choose a person on XWMS's sign-in page, and agree to whatever scopes it asks for."""
    assert httpx2.get(url).status_code == 200
    answer = httpx2.post(url, data={"person": person})
    if asked := re.findall(r'name="scope" value="([^"]+)"', answer.text):
        answer = httpx2.post(url, data={"person": person, "scope": asked})
    return answer


@dataclass
class Story:
    """One local XWMS, its dashboard, and the apps of the story."""

    edge: str
    server: SandboxServer
    clock: Clock
    dashboard: Dashboard
    folder: Path
    apps: list[App] = field(default_factory=list)

    def config(self, credentials: Credentials, *uris: str, secret: str | None = None, **more: Any) -> XWMSConfig:
        """The app's settings, as somebody copies them from the dashboard."""
        options: dict[str, Any] = {
            "client_id": credentials.client_id,
            "client_secret": secret or credentials.secret,
            "domain": "shop.example",
            "redirect_uris": uris or (SHOP,),
            "api_url": self.server.api_url,
            "session_secret": "a session secret of the app, long enough for anybody",
        }
        return XWMSConfig(**options | more)

    def app(self, credentials: Credentials, *uris: str, origin: str | None = None, **more: Any) -> App:
        """An app with those settings."""
        made = App(self.edge, self.config(credentials, *uris, **more), self.clock, origin)
        self.apps.append(made)
        return made

    def end(self) -> None:
        for app in self.apps:
            app.close()
        self.dashboard.close()


@contextmanager
def told(edge: str, folder: Path) -> Iterator[Story]:
    """A fresh story."""
    clock = Clock()
    settings = SandboxSettings(redirect_uris=(LOCALHOST,), database=folder / "xwms.db")
    with SandboxServer(settings, port=0, clock=clock) as server:
        story = Story(edge, server, clock, Dashboard(server.url), folder)
        try:
            yield story
        finally:
            story.end()
