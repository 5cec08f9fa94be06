"""Three real browsers behind one small interface: Chromium, Firefox and WebKitGTK, each as a person uses it.

Chromium by Playwright, Firefox by WebDriver BiDi, WebKitGTK by WebDriver. A click is the browser's own (a gesture to
it), `open` is a typed address, and what a page's script does is none of either.

Knows: how each browser is started and told what to do.
Must not: know the app, or assert anything about a login.
"""

import itertools
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.error import HTTPError, URLError

from websockets.sync.client import ClientConnection, connect

from tests.browser.servers import WAIT
from tests.browser.visitor import ARGUMENTS, CHROMIUM, STEP_TIMEOUT
from tests.tools.requires import missing, program
from xwms_auth.cli.ports import any_free

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

START: Final = 60.0  # seconds; Firefox is slow to start where many start at once
ENTER: Final = "\ue007"  # WebDriver's name for the key
WEBKIT_BROWSERS: Final = "*/webkit2gtk-4.*/MiniBrowser"


class Driver(Protocol):
    """A person's browser. What is not about windows as such is done in the one in front, at first the only one."""

    def open(self, url: str) -> None:
        """Type an address; returns when the page is there."""

    def click(self, selector: str) -> None:
        """Point at the first such element, and click it as soon as nothing lies over it."""

    def press(self, selector: str) -> None:
        """Press Enter on the first such element."""

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives on the page; to the browser this is no gesture."""

    def reload(self) -> None: ...

    def back(self) -> None: ...

    def windows(self) -> list[str]:
        """Name the open windows, in no order."""

    def front(self) -> str:
        """The name of the window in front."""

    def window(self, name: str) -> None:
        """Bring this window to the front."""

    def new_window(self) -> None:
        """Open an empty window or tab, which is then in front."""

    def forget(self) -> None:
        """Forget every cookie, and leave one empty window."""

    def close(self) -> None:
        """Close the browser as a person does, so that it can bring its windows back."""


def wait_for(happened: Callable[[], Any], what: str) -> Any:
    """Wait until the browser shows it; gives what it shows."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        if shown := happened():
            return shown
        time.sleep(0.02)
    raise AssertionError(f"not within {WAIT} s: {what}")


def wait_until_bare(driver: Driver, selector: str) -> None:
    """Wait until nothing lies over the middle of the first such element."""
    script = """(element => {
        const box = element.getBoundingClientRect();
        return element.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
    })(document.querySelector(%s))"""
    wait_for(lambda: driver.run(script % json.dumps(selector)), f"a bare {selector}")


def wait_for_url(driver: Driver, pattern: str) -> str:
    """Wait until the window in front is at an address that begins so (a regular expression), and its page is there."""

    def arrived() -> str | None:
        url, state = driver.run("[location.href, document.readyState]")
        return url if state == "complete" and re.match(pattern, url) else None

    try:
        url: str = wait_for(arrived, f"the address {pattern}")
    except AssertionError as late:
        late.add_note(f"it is {driver.run('location.href')}: {driver.run('document.body.innerText')!r}")
        raise
    return url


def wait_for_window(driver: Driver, before: list[str]) -> None:
    """Wait until a window has been opened that was not there before, and bring it to the front."""
    opened = wait_for(lambda: [name for name in driver.windows() if name not in before], "a new window")
    driver.window(opened[0])


# --- Chromium --------------------------------------------------------------------------------------------------------


class Chromium:
    """A context of its own in a Chromium that Playwright has started."""

    def __init__(self, browser: "Browser") -> None:
        self.context = browser.new_context()
        self.context.set_default_timeout(STEP_TIMEOUT)
        self._names: dict[str, Page] = {}
        self._numbers = itertools.count()
        self.context.on("page", self._note)
        self._front = self.context.new_page()

    def _note(self, page: "Page") -> None:
        self._names[f"window {next(self._numbers)}"] = page

    def open(self, url: str) -> None:
        self._front.goto(url)

    def click(self, selector: str) -> None:
        element = self._front.locator(selector).first
        # The click itself waits for what lies over the element, and moves the mouse only then.
        element.hover(force=True)
        element.click(no_wait_after=True)

    def press(self, selector: str) -> None:
        self._front.locator(selector).first.press("Enter", no_wait_after=True)

    def run(self, script: str) -> Any:
        # Not by Playwright's `evaluate`, which is a gesture to Chromium.
        session = self.context.new_cdp_session(self._front)
        told = session.send("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        session.detach()
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"]["text"])
        return told["result"].get("value")

    def reload(self) -> None:
        self._front.reload()

    def reload_with_shift(self) -> None:
        """Reload past caches and service workers. Firefox offers no driver this."""
        session = self.context.new_cdp_session(self._front)
        session.send("Page.reload", {"ignoreCache": True})
        session.detach()

    def back(self) -> None:
        self._front.go_back()

    def windows(self) -> list[str]:
        self._front.wait_for_timeout(1)  # Playwright hears of a new window only while it waits for something
        return [name for name, page in self._names.items() if not page.is_closed()]

    def front(self) -> str:
        return next(name for name, page in self._names.items() if page is self._front)

    def window(self, name: str) -> None:
        self._front = self._names[name]
        self._front.wait_for_load_state("domcontentloaded")

    def new_window(self) -> None:
        self._front = self.context.new_page()

    def forget(self) -> None:
        pages = self.context.pages
        self.new_window()
        for page in pages:
            page.close()
        self.context.clear_cookies()

    def close(self) -> None:
        self.context.close()


@contextmanager
def chromium(**options: Any) -> "Iterator[Browser]":
    """A Chromium that makes contexts; the options are those of Playwright's `launch`, `args` beside our own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright")
    path = program(*CHROMIUM)
    arguments = [*ARGUMENTS, *options.pop("args", ())]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments, **options)
        yield browser
        browser.close()


# --- Firefox ---------------------------------------------------------------------------------------------------------

PREFERENCES: Final = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """A Firefox of its own, in the folder of its profile."""

    def __init__(self, profile: Path, *arguments: str) -> None:
        path = program("firefox-esr", "firefox")
        profile.mkdir(parents=True, exist_ok=True)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines))
        self._stack = ExitStack()
        command = [path, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
        self._process = self._stack.enter_context(_running([*command, *arguments], stderr=subprocess.PIPE))
        try:
            self._socket = self._connect()
            self._ids = itertools.count(1)
            self._ask("session.new", capabilities={})
            self._front = self.windows()[0]
        except BaseException:
            self._stack.close()
            raise

    def _connect(self) -> ClientConnection:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
                self._stack.enter_context(self._process.stderr)
                return self._stack.enter_context(connect(f"{found[1]}/session", max_size=None))
        raise AssertionError("Firefox ended before it said where it listens")

    def _ask(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv(START))
            if told.get("id") == number:
                if told["type"] == "error":
                    raise RuntimeError(f"{method}: {told['error']}: {told['message']}")
                return told["result"]

    def open(self, url: str) -> None:
        try:
            self._ask("browsingContext.navigate", context=self._front, url=url, wait="complete")
        except RuntimeError as gone:
            # What the page before was still loading was given up for this, and Firefox says so of this.
            if "NS_BINDING_ABORTED" not in str(gone):
                raise
            self._ask("browsingContext.navigate", context=self._front, url=url, wait="complete")

    def set_out(self, url: str) -> None:
        """Type an address, and wait for nothing."""
        self._ask("browsingContext.navigate", context=self._front, url=url, wait="none")

    def _find(self, selector: str) -> dict[str, Any]:
        wait_for(lambda: self.run(f"document.querySelector({json.dumps(selector)}) !== null"), selector)
        found = self._ask(
            "browsingContext.locateNodes", context=self._front, locator={"type": "css", "value": selector}
        )
        return {"sharedId": found["nodes"][0]["sharedId"]}

    def click(self, selector: str) -> None:
        point = {"type": "pointerMove", "x": 0, "y": 0, "origin": {"type": "element", "element": self._find(selector)}}
        self._act({"type": "pointer", "id": "mouse", "actions": [point]})
        wait_until_bare(self, selector)
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "actions": [point, *press]})

    def press(self, selector: str) -> None:
        self._find(selector)
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        keys = [{"type": "keyDown", "value": ENTER}, {"type": "keyUp", "value": ENTER}]
        self._act({"type": "key", "id": "keyboard", "actions": keys})

    def _act(self, source: dict[str, Any]) -> None:
        try:
            self._ask("input.performActions", context=self._front, actions=[source])
        except RuntimeError as gone:
            # The window went on, or went away, between pressing and letting go.
            if "no such frame" not in str(gone) and "unknown error" not in str(gone):
                raise

    def run(self, script: str) -> Any:
        expression = f"JSON.stringify({script})"
        told = self._ask("script.evaluate", expression=expression, target={"context": self._front}, awaitPromise=True)
        if told["type"] == "exception":
            raise RuntimeError(told["exceptionDetails"]["text"])
        value = told["result"].get("value")
        return None if value is None else json.loads(value)

    def reload(self) -> None:
        self._ask("browsingContext.reload", context=self._front, wait="complete")

    def back(self) -> None:
        self._ask("browsingContext.traverseHistory", context=self._front, delta=-1)

    def windows(self) -> list[str]:
        return [tree["context"] for tree in self._ask("browsingContext.getTree")["contexts"]]

    def front(self) -> str:
        return self._front

    def window(self, name: str) -> None:
        self._front = name
        self._ask("browsingContext.activate", context=name)

    def new_window(self) -> None:
        self._front = self._ask("browsingContext.create", type="tab")["context"]

    def forget(self) -> None:
        windows = self.windows()
        self.new_window()
        for window in windows:
            self._ask("browsingContext.close", context=window)
        self._ask("storage.deleteCookies")

    def close(self) -> None:
        with self._stack:
            self._ask("browser.close")
            self._process.wait(WAIT)


# --- WebKitGTK -------------------------------------------------------------------------------------------------------

ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # the name that WebDriver gives to elements


class WebKit:
    """WebKitGTK's own small browser, on a screen that nobody sees."""

    def __init__(self) -> None:
        self._driver = program("WebKitWebDriver")
        found = next(map(str, Path("/usr/lib").glob(WEBKIT_BROWSERS)), None)
        self._binary = found or missing("WebKitGTK's MiniBrowser")
        self._stack = ExitStack()
        self._start()

    def _start(self) -> None:
        """Start the browser's driver, and the browser by it. A browser that does not come is started once more."""
        for is_last in (False, True):
            try:
                environ = {**os.environ, "DISPLAY": self._stack.enter_context(_screen()), "GDK_BACKEND": "x11"}
                port = any_free()
                self._process = self._stack.enter_context(
                    _running([self._driver, f"--port={port}"], env=environ, stderr=subprocess.DEVNULL)
                )
                self._address = f"http://127.0.0.1:{port}"
                wait_for(self._is_ready, "WebKitWebDriver")
                self._begin()
            except TimeoutError:
                self._stack.close()
                if is_last:
                    raise
            except BaseException:
                self._stack.close()
                raise
            else:
                return

    def _begin(self) -> None:
        options = {"binary": self._binary, "args": ["--automation"]}
        asked = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        self._session = ""
        self._session = f"/session/{self._call('POST', '/session', asked)['sessionId']}"

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, "WebKitWebDriver ended"
        try:
            with urllib.request.urlopen(f"{self._address}/status", timeout=START) as answer:
                return bool(json.load(answer)["value"]["ready"])
        except URLError:
            return False

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            f"{self._address}{self._session}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=START) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            told = json.load(error)["value"]
            raise RuntimeError(f"{method} {path}: {told['error']}: {told['message']}") from None

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def _find(self, selector: str) -> str:
        wait_for(lambda: self.run(f"document.querySelector({json.dumps(selector)}) !== null"), selector)
        found: str = self._call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        return found

    def click(self, selector: str) -> None:
        element = self._find(selector)
        point = {"type": "pointerMove", "x": 0, "y": 0, "origin": {ELEMENT: element}}
        self._call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [point]}]})
        wait_until_bare(self, selector)
        self._call("POST", f"/element/{element}/click")

    def press(self, selector: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/value", {"text": ENTER})

    def run(self, script: str) -> Any:
        return self._call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def reload(self) -> None:
        self._call("POST", "/refresh")

    def back(self) -> None:
        self._call("POST", "/back")

    def windows(self) -> list[str]:
        names: list[str] = self._call("GET", "/window/handles")
        return names

    def front(self) -> str:
        name: str = self._call("GET", "/window")
        return name

    def window(self, name: str) -> None:
        self._call("POST", "/window", {"handle": name})

    def new_window(self) -> None:
        self.window(self._call("POST", "/window/new", {"type": "tab"})["handle"])

    def forget(self) -> None:
        # A window that is not the first takes no clicks here, so it is another browser.
        try:
            self._call("DELETE", "")
            self._begin()
        except TimeoutError:
            self._stack.close()
            self._start()

    def close(self) -> None:
        with self._stack:
            self._call("DELETE", "")


@contextmanager
def _running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(WAIT)


@contextmanager
def _screen() -> Iterator[str]:
    """An X server without a screen; gives its name."""
    reading, writing = os.pipe()
    command = [program("Xvfb"), "-displayfd", str(writing), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    with os.fdopen(reading) as told, ExitStack() as stack:
        try:
            stack.enter_context(_running(command, pass_fds=[writing], stderr=subprocess.DEVNULL))
        finally:
            os.close(writing)
        number = told.readline().strip()
        assert number, "Xvfb ended before it said which display it is"
        yield f":{number}"
