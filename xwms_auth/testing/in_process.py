"""`local_xwms()`, an XWMS inside the process for the applications of a test; `LocalXWMS`, what a test does with it."""

import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from .._core.adapters.served_app import ServedApp
from .._core.adapters.wsgi.app import WSGIApp
from .._core.base import effects
from .._core.base.effects import UpstreamResponse
from .._core.base.models import User
from .._core.config.config import XWMSConfig
from .._core.config.context import Context
from .._core.http.urls import RedirectURI
from .._core.io import in_process
from .._core.sessions.lookup import look_up
from ..sandbox import require_packages
from ..sandbox.faults.catalogue import Fault, parse_fault
from . import environment, lending
from .applications import Applications, NoSuchClient
from .calls import Call
from .clients import WEBSOCKET_HOST, Browser, browser_of, is_async, is_client
from .clock import Clock
from .login import LoginFailed, LoginSteps, arun, login_steps, logout_steps, run
from .people import UNSET, Approval, Unset, approval_of
from .served_browser import ServedBrowser
from .server import Server


class LocalXWMS:
    """An XWMS inside this process, as the fixture `xwms` and `local_xwms()` give it.

    While it is there, an application that is made without settings gets those of `config()`, and one that was made when
    its module was imported is joined to it. `login` joins any other.
    """

    clock: Clock
    """The time of XWMS and of the applications: `clock.advance(seconds)`, or a timedelta; `clock()` is now."""

    calls: list[Call]
    """What XWMS was asked, the earliest first, without secrets."""

    def __init__(self) -> None:
        taken = len(in_process.servers)
        self._host = environment.HOST if not taken else f"xwms-{taken + 1}{in_process.SUFFIX}"
        while self._host in in_process.servers:
            taken += 1
            self._host = f"xwms-{taken + 1}{in_process.SUFFIX}"
        self.clock = Clock()
        self._server = Server(self._host, self.clock)
        self.calls = self._server.calls
        self._session_secret = environment.SESSION_SECRET + secrets.token_hex(16)
        self._applications = Applications(
            self._server,
            self._host,
            client_id=os.environ.get("XWMS_CLIENT_ID") or environment.CLIENT_ID,
            session_secret=self._session_secret,
        )

    @property
    def url(self) -> str:
        """Its address, which leads nowhere outside this process."""
        return self._server.origin

    # --- what the package calls (`_core/io/in_process.py`) ---

    def answer(self, call: in_process.LocalCall) -> UpstreamResponse:
        """Answer a call of an application. Not for tests."""
        return self._server.answer(call)

    def announce(self, served: object) -> None:
        """Join an application that is set up now. Not for tests."""
        self._applications.announce(served)

    # --- applications ---

    def config(self, **overrides: Any) -> XWMSConfig:
        """Return the settings of an application that asks this XWMS; `overrides` are fields of `XWMSConfig`."""
        settings = {**os.environ, **self._variables()}
        mapping = {name: value for name, value in settings.items() if value is not None}
        config = XWMSConfig.from_env(mapping, **overrides)
        self._applications.register(config)
        return config

    def join(self, app: object) -> None:
        """Join an application, or the one behind a test client, to this XWMS until the end of the test.

        For one with settings of its own, which is asked before anybody logs in; `login` does it by itself.
        Raises ValueError if there is none.
        """
        if not self._applications.join(browser_of(app, None).roots if is_client(app) else (app,)):
            raise ValueError(f"there is no application with a login of xwms-auth in {app!r}")

    # --- people ---

    def login(
        self,
        client: object,
        sub: str = "1001",
        *,
        name: str | None = None,
        email: str | Unset | None = UNSET,
        verified: bool = True,
        scopes: Sequence[str] | None = None,
        app: object = None,
        base_url: str | None = None,
    ) -> User:
        """Log a person in with this test client, through the whole flow, and return who the application says it is.

        Whoever was signed in there is logged out first. People of the sandbox, such as 1001, have their own name and
        address; `email=None` is somebody without one. `scopes` are those that the person approves, by default all that
        the application asks for. `base_url` is where the client is, if it does not say so itself, and `app` which
        application is meant, if a server answers on a socket and the test has several.
        Raises `LoginFailed` if the application refuses, and TypeError for a client that cannot sign in.
        """
        if is_async(client):
            raise TypeError("this client is async: user = await xwms.alogin(client, …)")
        given = approval_of(sub, name=name, email=email, verified=verified, scopes=scopes)
        browser, served = self._ready(client, app, base_url)
        user = run(self._login_steps(served, browser, given), browser)
        self._share_cookie(served, browser)
        return user

    async def alogin(
        self,
        client: object,
        sub: str = "1001",
        *,
        name: str | None = None,
        email: str | Unset | None = UNSET,
        verified: bool = True,
        scopes: Sequence[str] | None = None,
        app: object = None,
        base_url: str | None = None,
    ) -> User:
        """`login` with an async client, of httpx2 or httpx."""
        given = approval_of(sub, name=name, email=email, verified=verified, scopes=scopes)
        browser, served = self._ready(client, app, base_url)
        return await arun(self._login_steps(served, browser, given), browser)

    def logout(self, client: object, *, app: object = None, base_url: str | None = None) -> None:
        """Log out with this test client. Raises `LoginFailed` if the application refuses."""
        if is_async(client):
            raise TypeError("this client is async: await xwms.alogout(client)")
        browser, served = self._ready(client, app, base_url)
        run(logout_steps(served.context, self._applications.fit(served, browser.origin)), browser)
        self._share_cookie(served, browser)

    async def alogout(self, client: object, *, app: object = None, base_url: str | None = None) -> None:
        """`logout` with an async client."""
        browser, served = self._ready(client, app, base_url)
        await arun(logout_steps(served.context, self._applications.fit(served, browser.origin)), browser)

    def approve(
        self,
        url: str,
        sub: str = "1001",
        *,
        name: str | None = None,
        email: str | Unset | None = UNSET,
        verified: bool = True,
        scopes: Sequence[str] | None = None,
    ) -> str:
        """Do what a person does at XWMS, and return the URL of the callback: for a test that goes step by step.

        `url` is where the application's login led to. Raises ValueError if nobody can log in there.
        """
        if not url:
            raise ValueError("the application's response leads nowhere: look at its status and its text")
        if not url.startswith(f"{self.url}/"):
            raise ValueError(f"{url.partition('?')[0]} is not at the XWMS of this test, {self.url}")
        return self._server.approve(url, approval_of(sub, name=name, email=email, verified=verified, scopes=scopes))

    def session_cookie(
        self,
        sub: str = "1001",
        *,
        https: bool = False,
        name: str | None = None,
        email: str | Unset | None = UNSET,
        verified: bool = True,
        scopes: Sequence[str] | None = None,
        app: object = None,
        url: str | None = None,
    ) -> dict[str, Any]:
        """Log a person in, and return the cookie of the session in the form of Playwright's `add_cookies`.

        `url` is where the browser goes to; without it `localhost`, on any port. `https` gives the cookie the name and
        the attributes that it has there. `app` is the application, if the test has several.
        """
        origin = url or ("https://localhost" if https else "http://localhost")
        parts = urlsplit(origin)
        origin = f"{parts.scheme}://{parts.netloc}"
        given = approval_of(sub, name=name, email=email, verified=verified, scopes=scopes)
        served = self._served_for((app,) if app is not None else (), origin)
        uri = self._applications.fit(served, origin, everywhere=True)
        browser = ServedBrowser(served, origin)
        run(self._login_steps(served, browser, given), browser)
        cookie = served.context.names_for(uri).session
        return {
            "name": cookie,
            "value": browser.cookies[cookie],
            "url": origin,
            "httpOnly": True,
            "secure": uri.secure,
            "sameSite": "Lax",
        }

    def _login_steps(self, served: ServedApp, browser: Browser, given: Approval) -> LoginSteps[User]:
        uri = self._applications.fit(served, browser.origin)
        return login_steps(
            served.context,
            uri,
            xwms=self.url,
            approve=lambda url: self._server.approve(url, given),
            sub=given.person.sub,
            signed_in=lambda: _signed_in(served, uri, browser),
        )

    def _ready(self, client: object, app: object, base_url: str | None) -> tuple[Browser, ServedApp]:
        """The client as a browser, and the application that it signs in to."""
        browser = browser_of(client, base_url)
        roots = browser.roots if app is None else (app,)
        return browser, self._served_for(roots, browser.origin)

    def _served_for(self, roots: tuple[object, ...], origin: str) -> ServedApp:
        try:
            return self._applications.find(roots, origin) or self._own()
        except NoSuchClient as error:
            raise LoginFailed(str(error)) from None

    def _own(self) -> ServedApp:
        """What logs in to an application that is not known here, such as one in another process."""
        served = WSGIApp(Context.of(self.config()), _nothing, debugged=None, clock=self.clock)
        self._applications.forget(served)
        return served

    def _share_cookie(self, served: ServedApp, browser: Browser) -> None:
        """Starlette's client opens its websockets at a host of its own, whatever its address is."""
        context, uri = served.context, self._applications.fit(served, browser.origin)
        there = lending.fit_websockets(context, uri, WEBSOCKET_HOST)
        browser.share_cookie(context.names_for(uri).session, context.names_for(there).session)

    # --- faults ---

    @contextmanager
    def fail(
        self, fault: str, *, endpoint: str | None = None, times: int | None = None, seconds: float | None = None
    ) -> Generator[None]:
        """Let the calls to XWMS fail: `with xwms.fail("timeout"):`. The faults are those of docs/sandbox.md.

        `endpoint` is the only call that fails, such as `sign-token-verify`, and `times` how often. `seconds` is the
        delay of `slow`. Nothing waits: what would come too late fails at once. Raises ValueError for what there is not,
        and ImportError without the packages of the sandbox, whose faults these are.
        """
        require_packages()
        parsed = parse_fault(fault)
        struck = Fault(
            name=parsed.name,
            endpoint=parsed.endpoint if endpoint is None else endpoint,
            times=parsed.times if times is None else times,
            seconds=parsed.seconds if seconds is None else seconds,
        )
        self._server.faults.add(struck)
        try:
            yield
        finally:
            self._server.faults.clear(struck.name, endpoint=struck.endpoint)

    # --- begin and end ---

    def _variables(self) -> dict[str, str | None]:
        return environment.variables(os.environ, host=self._host, session_secret=self._session_secret)

    @contextmanager
    def running(self) -> Generator["LocalXWMS"]:
        """Be there, as long as the block lasts. `local_xwms()` calls this."""
        undo = ExitStack()  # all of it, whatever fails of it
        _to_undo[undo] = False
        try:
            undo.callback(self._server.close)
            undo.callback(environment.put(self._variables()))
            in_process.servers[self._host] = self
            undo.callback(self._applications.end)
            self._applications.begin()
            yield self
        finally:
            in_process.servers.pop(self._host, None)
            _to_undo[undo] = True
            _undo()


_to_undo: dict[ExitStack, bool] = {}
"""What each XWMS has changed, the earliest first, and whether it has ended."""


def _undo() -> None:
    """Undo the latest changes first, whatever ends first: each restores what it has found."""
    latest = next(reversed(_to_undo), None)
    if latest is not None and _to_undo[latest]:
        del _to_undo[latest]
        try:
            latest.close()
        finally:
            _undo()


@contextmanager
def local_xwms() -> Generator[LocalXWMS]:
    """An XWMS inside this process, as long as the block lasts: `with local_xwms() as xwms:`.

    The `XWMS_…` variables of the environment lead to it meanwhile.
    """
    with LocalXWMS().running() as xwms:
        yield xwms


def _signed_in(served: ServedApp, uri: RedirectURI, browser: Browser) -> User | None:
    """Who is signed in by the cookie of this browser, if that is known without I/O."""
    name = served.context.names_for(uri).session
    value = browser.cookie(name) if served.is_lazy else None
    if value is None:
        return None
    steps = look_up(served.context, f"{name}={value}", uri, now=served.now())
    session = effects.run(steps, served.runtime).session
    return session.user if session else None


def _nothing(_environ: object, _start_response: object) -> list[bytes]:
    raise RuntimeError("this application has no pages")
