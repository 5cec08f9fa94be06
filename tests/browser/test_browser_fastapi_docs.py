"""FastAPI's own page of an API: a padlock at what needs a login, and a link behind it that logs in and comes back."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from tests.browser.servers import Journal, listener, port_of, recording_asgi, serve_asgi
from tests.browser.visitor import CALLBACK, TAG, Place, Visitor
from tests.tools.requires import missing
from xwms_auth import XWMSConfig
from xwms_auth.fastapi import CurrentUser, OptionalUser, XWMSAuthMiddleware
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

SWAGGER = Path(__file__).with_name("node_modules") / "swagger-ui-dist"
ANNA = "Anna de Vries"


def api(config: XWMSConfig, docs_url: str) -> FastAPI:
    app = FastAPI(title="Support desk", docs_url=docs_url)
    app.add_middleware(XWMSAuthMiddleware, config=config)

    @app.get("/tickets")
    async def tickets(user: CurrentUser) -> dict[str, str]:
        return {"tickets of": user.display_name}

    @app.get("/questions")
    async def questions() -> list[str]:
        return ["Where is my printer?"]

    @app.get("/greeting")
    async def greeting(user: OptionalUser) -> str:
        return user.display_name if user else "whoever you are"

    return app


@pytest.fixture(params=[("marked", "/docs"), ("all", "/docs"), ("marked", "/reference/api")])
def place(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Place]:
    protect, docs_url = request.param
    with ExitStack() as stack:
        sock = stack.enter_context(listener())
        origin = f"http://localhost:{port_of(sock)}"
        settings = SandboxSettings(redirect_uris=(origin + CALLBACK,))
        sandbox = stack.enter_context(SandboxServer(settings, port=0))
        config = XWMSConfig(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            redirect_uris=origin + CALLBACK,
            api_url=sandbox.api_url,
            session_secret="a session secret for the browser tests, long enough",
            cookie_tag=TAG,
            protect=protect,
        )
        journal = Journal()
        stack.enter_context(serve_asgi(recording_asgi(api(config, docs_url), journal), sock, None))
        yield Place(origin + docs_url, False, sandbox, journal, caplog)


def from_npm(route: "Route") -> None:
    """Swagger UI, which FastAPI's page loads from elsewhere."""
    file = SWAGGER / route.request.url.rpartition("/")[2]
    if file.exists():
        route.fulfill(path=file)
    else:
        route.abort()


def open_docs(visitor: Visitor) -> "Page":
    if not SWAGGER.is_dir():
        missing("swagger-ui-dist (npm ci --prefix tests/browser)")
    visitor.context.route(re.compile(r"^https://"), from_npm)
    page = visitor.tab()
    page.goto(visitor.place.origin)
    if page.url.startswith(visitor.place.sandbox.url):
        page.get_by_role("button", name=ANNA).first.click()
    page.locator(".opblock").first.wait_for()
    return page


def answer_of(page: "Page", path: str) -> Any:
    """Try an endpoint out, as a person does."""
    block = page.locator(".opblock").filter(has=page.locator(f'[data-path="{path}"]'))
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    with page.expect_response(lambda response: response.url.endswith(path)) as asked:
        block.get_by_role("button", name="Execute").click()
    block.locator(".live-responses-table").wait_for()
    return asked.value


def test_the_padlock_leads_to_the_login_and_back(visitor: Visitor) -> None:
    page = open_docs(visitor)
    locks = {
        block.locator("[data-path]").get_attribute("data-path"): block.locator(".authorization__btn").count()
        for block in page.locator(".opblock").all()
    }
    assert locks == {"/tickets": 1, "/questions": 0, "/greeting": 1}
    if not visitor.cookies():
        assert answer_of(page, "/tickets").status == 401
    page.get_by_role("button", name="Authorize").first.click()
    modal = page.locator(".modal-ux")
    assert f"xwms_session_{TAG}" in modal.inner_text()
    link = modal.get_by_role("link", name="Log in with XWMS and come back here")
    with page.expect_popup() if link.get_attribute("target") == "_blank" else page.expect_navigation() as opened:
        link.click()
    back = opened.value if link.get_attribute("target") == "_blank" else page
    if not visitor.cookies().get(visitor.place.session_cookie):
        back.get_by_role("button", name=ANNA).first.click()
    back.wait_for_url(visitor.place.origin)
    back.locator(".opblock").first.wait_for()
    asked = answer_of(back, "/tickets")
    assert (asked.status, asked.json()) == (200, {"tickets of": ANNA})
