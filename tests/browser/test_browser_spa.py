"""The code of docs/spa.md, as it stands there, in applications of React and Vue that Chromium visits."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.front_ends import serve_front_end
from tests.browser.houses import ANNA, House
from tests.tools.clock import Clock
from tests.tools.requires import missing, program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "spa.md"

ENTRIES = {
    "react.jsx": """
        import {createRoot} from "react-dom/client";
        import {StrictMode, useEffect, useState} from "react";
        import {Login, useSession} from "./Login.jsx";
        import {api} from "./session.js";
        import {listen} from "./feed.js";

        function Feed() {
          const [heard, setHeard] = useState("nothing");
          useEffect(() => listen(location.origin.replace("http", "ws") + "/feed", setHeard), []);
          return <p id="heard">{heard}</p>;
        }

        function App() {
          const session = useSession();
          return <><Login /><button onClick={() => api("/api/me-too")}>Ask</button>{session?.user && <Feed />}</>;
        }

        createRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);
    """,
    "vue.js": """
        import {createApp, defineComponent, h, onUnmounted, ref} from "vue";
        import Login from "./Login.vue";
        import {useSession} from "./useSession.js";
        import {api} from "./session.js";
        import {listen} from "./feed.js";

        const Feed = defineComponent({
          setup() {
            const heard = ref("nothing");
            onUnmounted(listen(location.origin.replace("http", "ws") + "/feed", (text) => (heard.value = text)));
            return () => h("p", {id: "heard"}, heard.value);
          },
        });

        createApp({
          setup() {
            const session = useSession();
            const ask = () => api("/api/me-too");
            return () => [h(Login), h("button", {onClick: ask}, "Ask"), session.value?.user ? h(Feed) : null];
          },
        }).mount("#root");
    """,
}


def snippets() -> dict[str, str]:
    """The files that the page shows, by their names."""
    found = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert [name for name, _ in found] == ["session.js", "Login.jsx", "useSession.js", "Login.vue", "feed.js"]
    return dict(found)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A page for each framework, and its bundle."""
    node = program("node")
    if not (HERE / "node_modules" / "esbuild").is_dir():
        missing("esbuild (npm ci --prefix tests/browser)")
    folder = tmp_path_factory.mktemp("front-ends")
    for name, text in {**snippets(), **ENTRIES}.items():
        (folder / name).write_text(text, encoding="utf-8")
    subprocess.run([node, HERE / "build_front_ends.mjs", folder, *ENTRIES], check=True, timeout=60)
    made = {"/": ""}
    for name in ("react", "vue"):
        made[f"/{name}"] = (
            f'<!doctype html><html lang="en"><title>{name}</title><link rel="icon" href="data:,">'
            f'<script src="/{name}.bundle.js" defer></script><main id="root"></main></html>'
        )
        made[f"/{name}.bundle.js"] = (folder / f"{name}.bundle.js").read_text(encoding="utf-8")
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def house(files: dict[str, str], clock: Clock) -> Iterator[House]:
    with serve_front_end(files, clock=clock) as served:
        yield served


@pytest.fixture
def context(chromium: "Browser") -> "Iterator[BrowserContext]":
    made = chromium.new_context()
    made.set_default_timeout(15_000)
    yield made
    made.close()


def log_in(context: "BrowserContext", house: House, name: str) -> "Page":
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(f"{house.origin}/{name}?page=2#last")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{house.xwms}/sign-in/**")
    page.get_by_role("button", name=ANNA).first.click()
    page.wait_for_url(f"{house.origin}/{name}?page=2#last")
    page.get_by_text(f"{ANNA} Log out").wait_for()
    return page


@pytest.mark.parametrize("name", ["react", "vue"])
def test_the_page_logs_in_and_out_and_shows_who_is_there(context, house, name):
    page = log_in(context, house, name)
    page.locator("#heard", has_text=ANNA).wait_for()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{house.origin}/")


def end_the_session(context: Any, house: House) -> None:
    assert context.request.post(f"{house.origin}/xwms/logout", headers={"Origin": house.origin}).ok


@pytest.mark.parametrize("name", ["react", "vue"])
def test_after_a_401_the_page_offers_the_login(context, house, name):
    page = log_in(context, house, name)
    end_the_session(context, house)
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("button", name="Log in").wait_for()
    assert not page.locator("#heard").count()


@pytest.mark.parametrize("name", ["react", "vue"])
def test_a_websocket_that_was_closed_with_4401_leads_to_the_login(context, house, clock, name):
    page = log_in(context, house, name)
    page.locator("#heard", has_text=ANNA).wait_for()
    end_the_session(context, house)
    clock.advance(61)
    page.get_by_role("button", name="Log in").wait_for()


def test_a_page_whose_websocket_was_closed_comes_back_with_a_new_session(context, house, clock):
    page = log_in(context, house, "react")
    page.locator("#heard", has_text=ANNA).wait_for()
    log_in_again = context.new_page()
    end_the_session(context, house)
    log_in_again.goto(f"{house.origin}/vue")
    log_in_again.get_by_role("button", name="Log in").click()
    log_in_again.get_by_role("button", name=ANNA).first.click()
    log_in_again.get_by_text(f"{ANNA} Log out").wait_for()
    with page.expect_websocket():
        clock.advance(61)
    page.locator("#heard", has_text=ANNA).wait_for()
