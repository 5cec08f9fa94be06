"""The login of a test, as a browser goes through it: steps that ask a test client, sync or async, for answers."""

import html
import re
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar
from urllib.parse import urlsplit

from .._core.base.models import User
from .._core.base.strict_json import parse_json_object, parse_object
from .._core.config.context import Context
from .._core.http.urls import RedirectURI
from .clients import Answer, Ask, Browser, StarletteBrowser

T = TypeVar("T")

LoginSteps = Generator[Ask, Answer, T]

_NAVIGATES = {
    "Accept": "text/html,application/xhtml+xml",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
}
_TYPED = {**_NAVIGATES, "Sec-Fetch-Site": "none"}
_FROM_XWMS = {**_NAVIGATES, "Sec-Fetch-Site": "cross-site"}
_FROM_HERE = {**_NAVIGATES, "Sec-Fetch-Site": "same-origin"}

_CODE = re.compile(r"<code>([a-z_]+)</code>(?:</span>)?</p>")
_CONFIRM = re.compile(r'name="confirm" value="([^"]*)"')
_MAX_MOVES = 3


class LoginFailed(Exception):
    """A login or a logout of a test did not end as it should.

    `code` is the code of docs/errors.md with which the application refused it, or None; `status` is that of its answer.
    """

    def __init__(self, told: str, answer: Answer | None = None) -> None:
        self.status = None if answer is None else answer.status
        self.code = None if answer is None else _code_of(answer)
        because = "" if answer is None else f": {answer.status} {self.code or _short(answer)}"
        super().__init__(f"{told}{because}")


def _code_of(answer: Answer) -> str | None:
    if found := _CODE.search(answer.text):
        return found[1]
    document = parse_json_object(answer.text.encode())
    code: object = None if document is None else document.get("code")
    return code if isinstance(code, str) else None


def _short(answer: Answer) -> str:
    return f"to {answer.location.partition('?')[0]}" if answer.location else answer.text[:200].strip()


def login_steps(
    context: Context,
    uri: RedirectURI,
    *,
    xwms: str,
    approve: Callable[[str], str],
    sub: str,
    signed_in: Callable[[], User | None],
) -> LoginSteps[User]:
    """Log a person in. `xwms` is the origin of XWMS, and `approve` goes from its login page to the callback's URL.

    `signed_in` returns who the client's cookie says is signed in, or None if the application has to be asked.
    """
    path = context.config.login_path
    answer = yield Ask(method="GET", path=path, headers=_TYPED)
    if answer.status == 303 and urlsplit(answer.location).path != path:
        yield from logout_steps(context, uri)  # somebody was signed in
        answer = yield Ask(method="GET", path=path, headers=_TYPED)
    for _ in range(_MAX_MOVES):
        if urlsplit(answer.location).path != path:
            break
        answer = yield Ask(method="GET", path=_target_of(answer.location), headers=_TYPED)
    if not answer.location.startswith(f"{xwms}/"):
        if answer.status in (302, 303):
            raise LoginFailed(
                "the application leads to another XWMS than the test's: give it xwms.config(), or xwms.join(app)",
                answer,
            )
        raise LoginFailed("the login did not begin", answer)
    answer = yield Ask(method="GET", path=_target_of(approve(answer.location)), headers=_FROM_XWMS)
    if answer.status == 303 and urlsplit(answer.location).path == path:
        answer = yield from _confirmed(answer.location)
    if answer.status != 303:
        raise LoginFailed("the login was refused", answer)
    user = signed_in()
    return user if user is not None and user.sub == sub else (yield from _who_am_i(context, sub))


def _confirmed(location: str) -> LoginSteps[Answer]:
    """Press the button of the page that asks whether this is the right person."""
    page = yield Ask(method="GET", path=_target_of(location), headers=_FROM_HERE)
    found = _CONFIRM.search(page.text)
    if found is None:
        raise LoginFailed("the application asks for more before it logs this person in", page)
    form = {"confirm": html.unescape(found[1])}
    return (yield Ask(method="POST", path=_target_of(location), headers=_FROM_HERE, form=form))


def _who_am_i(context: Context, sub: str) -> LoginSteps[User]:
    answer = yield Ask(method="GET", path=context.config.me_path, headers={"Accept": "application/json"})
    document = parse_json_object(answer.text.encode())
    if document is None or "user" not in document:
        raise LoginFailed(f"{context.config.me_path} does not say who is signed in", answer)
    claims = parse_object(document["user"])
    if claims is None or claims.get("sub") != sub:
        raise LoginFailed("the login has finished, but the client did not keep its cookie")
    return User.parse(claims, issuer=context.config.issuer)


def logout_steps(context: Context, uri: RedirectURI) -> LoginSteps[None]:
    """Log out, by the form of the site."""
    headers = {**_FROM_HERE, "Origin": uri.origin}
    answer = yield Ask(method="POST", path=context.config.logout_path, headers=headers, form={})
    if answer.status != 303:
        raise LoginFailed("the logout was refused", answer)


def _target_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def run(steps: LoginSteps[T], browser: Browser) -> T:
    """Go through the steps with a sync client."""
    if isinstance(browser, StarletteBrowser):
        found: T = browser.in_its_loop(arun, steps, browser)
        return found
    try:
        ask = next(steps)
        while True:
            answer = browser.send(ask)
            if isinstance(answer, Awaitable):
                raise TypeError("this client is async: await xwms.alogin(client, …), xwms.alogout(client)")
            ask = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def arun(steps: LoginSteps[T], browser: Browser) -> T:
    """Go through the steps with a client that may be async."""
    try:
        ask = next(steps)
        while True:
            answer = browser.send(ask)
            ask = steps.send(await answer if isinstance(answer, Awaitable) else answer)
    except StopIteration as end:
        result: T = end.value
        return result
