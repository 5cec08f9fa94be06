"""SM-09, many tabs that log in at once: each comes home, in every mode and both flows, with one process and four."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.processes import serve_processes
from tests.browser.servers import Edge, Elsewhere, listener, port_of
from tests.browser.visitor import ARGUMENTS, CALLBACK, CHROMIUM, STEP_TIMEOUT
from tests.tools.requires import missing, program
from xwms_auth.sandbox import SandboxServer, SandboxSettings

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

LOGIN = "/xwms/auth"
NAME, SUB = "Anna de Vries", "1001"
LOGIN_COOKIES = "xwms_login"

# What the app expects (`callback_token`, or the other flow), and what the local XWMS brings.
MODES = {
    "same": ("same", "same"),
    "either-of-same": ("either", "same"),
    "either-of-fresh": ("either", "fresh"),
    "fresh": ("fresh", "fresh"),
    "oauth2": ("oauth2", "same"),
}
# The edge, how many processes, and whether they share a store.
HOUSES: dict[str, tuple[Edge, int, bool]] = {
    "flask-one-process": ("flask", 1, False),
    "starlette-four-processes": ("starlette", 4, False),
    "flask-four-processes-one-store": ("flask", 4, True),
}


@dataclass(frozen=True, slots=True)
class House:
    """The app at its address, and the local XWMS that it logs people in with."""

    origin: str
    xwms: str
    tells_tabs_apart: bool
    """Whether the callback says which of several logins it belongs to."""

    is_one: bool
    """Whether one process serves it, or several that share a store."""


def pairs(first: int) -> list[tuple[str, str]]:
    """Every second mode from `first` on, each behind another server, with and without a shared store."""
    servers = "starlette-four-processes", "flask-one-process", "flask-four-processes-one-store"
    return list(zip(list(MODES)[first::2], servers, strict=False))


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    modes: tuple[str, str] = request.param
    return modes


@pytest.fixture
def mode(pair: tuple[str, str]) -> str:
    return pair[0]


@pytest.fixture
def size(pair: tuple[str, str]) -> str:
    return pair[1]


@pytest.fixture
def make_house(mode: str, size: str, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Build it: `make_house(auto_login="1001")`."""
    expected, brought = MODES[mode]
    edge, count, shared = HOUSES[size]
    with ExitStack() as stack:

        def make(*, auto_login: str | None = None) -> House:
            sock = stack.enter_context(listener())
            origin = f"http://localhost:{port_of(sock)}"
            settings = SandboxSettings(
                redirect_uris=(origin + CALLBACK,), callback_token=brought, auto_login=auto_login
            )
            sandbox = stack.enter_context(SandboxServer(settings, port=0))
            flow = {"flow": "oauth2", "issuer": sandbox.url} if expected == "oauth2" else {"callback_token": expected}
            options = {
                "client_id": settings.client_id,
                "client_secret": settings.client_secret,
                "redirect_uris": origin + CALLBACK,
                "api_url": sandbox.api_url,
                "session_secret": "a session secret for the browser tests, long enough",
                "session_store": f"sqlite:///{tmp_path}/sessions.sqlite3" if shared else "cookie",
                **flow,
            }
            stack.enter_context(serve_processes(edge, options, sock, count))
            return House(origin, sandbox.url, brought == "same", is_one=count == 1 or shared)

        yield make


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Playwright's other API: the tabs of one browser at the same time."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def browser(runner: asyncio.Runner) -> "Iterator[Browser]":
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        missing("the package playwright")
    path = program(*CHROMIUM)
    manager = async_playwright()

    async def start() -> "Browser":
        playwright = await manager.start()
        return await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)

    launched = runner.run(start())
    yield launched
    runner.run(launched.close())
    runner.run(manager.__aexit__())


Story = Callable[["BrowserContext"], Coroutine[Any, Any, None]]


@pytest.fixture
def tell(runner: asyncio.Runner, browser: "Browser") -> Callable[[Story], None]:
    """Have a story happen in a browser that has not been anywhere yet."""

    async def play(story: Story) -> None:
        context = await browser.new_context()
        context.set_default_timeout(STEP_TIMEOUT)
        try:
            await story(context)
        finally:
            await context.close()

    return lambda story: runner.run(play(story))


def paths(count: int) -> list[str]:
    """As many protected pages."""
    return [f"/private?tab={number}" for number in range(count)]


async def open_at_once(context: "BrowserContext", house: House, wanted: Sequence[str]) -> "list[Page]":
    """Tabs in which somebody types an address each, all at the same moment, as a browser does that was restarted."""
    tabs = [await context.new_page() for _ in wanted]
    await asyncio.gather(*(tab.goto(house.origin + path) for tab, path in zip(tabs, wanted, strict=True)))
    return tabs


async def approve(tab: "Page", house: House) -> None:
    """Choose Anna on XWMS's page, agree where she has not agreed before, and come back."""
    async with tab.expect_navigation():
        await tab.get_by_role("button", name=NAME).first.click()
    if tab.url.startswith(house.xwms):
        async with tab.expect_navigation():
            await tab.get_by_role("button", name="Allow").click()
    assert tab.url.startswith(house.origin), tab.url


async def who(tab: "Page") -> str:
    """Who the page says is there; a page that says nothing of it is quoted."""
    shown = tab.locator("#who")
    return await shown.inner_text() if await shown.count() else await tab.locator("body").inner_text()


async def assert_home(house: House, tabs: "Sequence[Page]", wanted: Sequence[str]) -> None:
    """Each tab is on a page of the app with Anna signed in; on its own one where the callback tells."""
    found = [(tab.url, await who(tab)) for tab in tabs]
    assert [said for _, said in found] == [NAME] * len(tabs)
    ends = [url.removeprefix(house.origin) for url, _ in found]
    if house.tells_tabs_apart:
        assert ends == list(wanted)
    assert all(end == "/" or end.startswith("/private") for end in ends), ends


async def login_cookies(context: "BrowserContext") -> dict[str, str]:
    return {
        cookie["name"]: cookie["value"]
        for cookie in await context.cookies()
        if cookie["name"].startswith(LOGIN_COOKIES)
    }


@pytest.mark.parametrize("pair", pairs(0), indirect=True, ids="-".join)
def test_eight_tabs_that_a_restarted_browser_opens_at_once_all_come_home(make_house, tell):
    """The person is signed in at XWMS, so that nobody is asked anything."""
    house = make_house(auto_login=SUB)

    async def story(context):
        wanted = paths(8)
        await assert_home(house, await open_at_once(context, house, wanted), wanted)

    tell(story)


@pytest.mark.parametrize("pair", pairs(1), indirect=True, ids="-".join)
def test_eight_tabs_approved_at_once_come_home_and_so_does_a_ninth_that_is_late(make_house, tell):
    house = make_house()

    async def story(context):
        wanted = paths(9)
        tabs = await open_at_once(context, house, wanted)
        assert all(tab.url.startswith(house.xwms) for tab in tabs)
        await asyncio.gather(*(approve(tab, house) for tab in tabs[:8]))
        await assert_home(house, tabs[:8], wanted[:8])
        await approve(tabs[8], house)
        await assert_home(house, tabs[8:], wanted[8:])
        # Where nothing tells, two processes that share nothing may take one login for two tabs; the other's expires.
        assert await login_cookies(context) == {} or not (house.tells_tabs_apart or house.is_one)

    tell(story)


@pytest.mark.parametrize(
    ("pair", "length"),
    [((mode, "flask-one-process"), length) for mode, length in (("fresh", 400), ("oauth2", 1))],
    indirect=["pair"],
    ids=("fresh-400", "oauth2-1"),
)
def test_the_cookies_of_many_logins_stay_small_and_the_newest_login_works(make_house, tell, length):
    house = make_house()

    async def story(context):
        wanted = [f"{path}&q={'x' * length}" for path in paths(13)]
        tabs = [(await open_at_once(context, house, [path]))[0] for path in wanted]
        pending = await login_cookies(context)
        assert 0 < len(pending) <= 10
        assert sum(len(f"{name}={value}; ") for name, value in pending.items()) < 3000
        await approve(tabs[-1], house)
        await assert_home(house, tabs[-1:], wanted[-1:])

    tell(story)


@pytest.mark.parametrize(
    "pair", [(mode, "starlette-four-processes") for mode in ("same", "oauth2")], indirect=True, ids="-".join
)
def test_logins_that_another_site_begins_push_out_none_of_ones_own(make_house, tell, elsewhere: Elsewhere):
    house = make_house()

    async def story(context):
        wanted = paths(2)
        tabs = await open_at_once(context, house, wanted)
        elsewhere.pages["/evil"] = f"<script>location = '{house.origin}{LOGIN}'</script>"
        lured = await context.new_page()
        for _ in range(12):
            await lured.goto(elsewhere.url("/evil"))
            await lured.wait_for_url(f"{house.xwms}/**")
        for tab, path in zip(tabs, wanted, strict=True):
            await approve(tab, house)
            await assert_home(house, [tab], [path])

    tell(story)
