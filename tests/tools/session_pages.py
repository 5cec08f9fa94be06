"""An application with pages about sessions, behind both edges: `with_pages(site)` gives the site that one.

/            "home", never asks who is there
/who         the sub; a program gets 401 when nobody is signed in
/signed-out  why nobody is signed in any longer: code and sentence, or "None"
/claims      what the session says of the person, as JSON
/fresh       the sub, behind a login of at most `FRESH`
/inside      where `inside` puts its question
"""

import asyncio
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import flask
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.site import LOGIN, Browser, Site
from xwms_auth import XWMSError

FRESH = timedelta(minutes=1)
BOTH = ["GET", "POST"]

Question = Callable[[Any], Any]  # is given the sessions; its answer is awaited where it needs to be


class Pages:
    """The pages of one site, and the question that is waiting for its next request."""

    def __init__(self) -> None:
        self.sessions: Any = None  # as the application has them outside of a request
        self.question: Question = lambda sessions: None
        self.answer: Any = None


def with_pages(site: Site) -> Site:
    """The same site with these pages in place of its own; its options and its clock stay."""
    pages = Pages()
    site.app = _flask(site, pages) if site.edge == "flask" else _asgi(site, pages)
    site.pages = pages
    return site


def outside(site: Site, question: Question) -> Any:
    """What the application's sessions answer outside of a request; raises what they raise."""
    return told(question, site.pages.sessions)


def told(question: Question, sessions: Any) -> Any:
    """The answer of sessions of either colour."""
    answer = question(sessions)
    return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer


def inside(browser: Browser, question: Question) -> Any:
    """What they answer during a request of this browser's; an error is an answer too."""
    pages: Pages = browser.site.pages
    pages.question = question
    assert browser.get("/inside").status_code == 200
    return pages.answer


def given(site: Site, cookie: str) -> Browser:
    """A browser that has this session cookie, wherever it has it from."""
    browser = site.browser()
    browser.client.cookies.set(site.session_cookie, cookie, domain="app.example", path="/")
    return browser


def started_afresh(browser: Browser, fresh: object = 30) -> str:
    """Start a login although somebody is signed in, as a page that asks for a fresh one does; gives the token."""
    answer = browser.get(LOGIN, params={"fresh": str(fresh)})
    assert answer.status_code == 302, answer.text
    return urlsplit(answer.headers["location"]).path.rpartition("/")[2]


def log_in_again(browser: Browser, sub: str) -> httpx2.Response:
    """Half a minute later, log in once more in the same browser; gives the answer to the callback."""
    browser.site.clock.advance(31)
    return browser.come_back(browser.site.fx.approve(started_afresh(browser), sub=sub))


def enter(browser: Browser, path: str) -> str:
    """What a websocket says to this browser, or the code with which its handshake is refused."""
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    client = TestClient(browser.site.app, base_url=browser.site.origin)
    try:
        with client.websocket_connect(f"wss://app.example{path}", headers={"Cookie": cookies}) as room:
            return room.receive_text()
    except WebSocketDisconnect as refused:
        return str(refused.code)


async def greet(websocket: WebSocket) -> None:
    """A websocket that says the sub."""
    await websocket.accept()
    await websocket.send_text(websocket.user.sub)
    await websocket.close()


async def _awaited(answer: Any) -> Any:
    return await answer


def _said(user: Any) -> str:
    return f"{user.signed_out}: {user.signed_out.detail}" if user.signed_out else f"{user.signed_out}"


def _flask(site: Site, pages: Pages) -> flask.Flask:
    app = flask.Flask(__name__)
    auth = xwms_auth.flask.XWMSAuth(app, site.config, clock=site.clock)
    user, guard = xwms_auth.flask.current_user, xwms_auth.flask.login_required
    pages.sessions = auth.sessions

    def inside() -> str:
        try:
            pages.answer = pages.question(auth.sessions)
        except XWMSError as error:
            pages.answer = error
        return "answered"

    def who() -> str:
        return f"{user.sub}"

    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/who", "who", guard(who), methods=BOTH)
    app.add_url_rule("/signed-out", "signed_out", lambda: _said(user))
    app.add_url_rule("/claims", "claims", lambda: flask.jsonify(user.claims() if user else None))
    app.add_url_rule("/fresh", "fresh", guard(fresh=FRESH)(who), methods=BOTH)
    app.add_url_rule("/inside", "inside", inside)
    return app


def _asgi(site: Site, pages: Pages) -> Any:
    guard = xwms_auth.starlette.login_required

    async def home(request: Request) -> Response:
        return PlainTextResponse("home")

    async def who(request: Request) -> Response:
        return PlainTextResponse(request.user.sub)

    async def signed_out(request: Request) -> Response:
        return PlainTextResponse(_said(request.user))

    async def claims(request: Request) -> Response:
        return JSONResponse(request.user.claims() if request.user else None)

    async def inside(request: Request) -> Response:
        try:
            answer = pages.question(request.auth.sessions)
            pages.answer = await answer if inspect.isawaitable(answer) else answer
        except XWMSError as error:
            pages.answer = error
        return PlainTextResponse("answered")

    routes = [
        Route("/", home),
        Route("/who", guard(who), methods=BOTH),
        Route("/signed-out", signed_out),
        Route("/claims", claims),
        Route("/fresh", guard(fresh=FRESH)(who), methods=BOTH),
        Route("/inside", inside),
        WebSocketRoute("/ws", guard(greet)),
    ]
    app = xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=routes), site.config, clock=site.clock)
    pages.sessions = app.sessions
    return app
