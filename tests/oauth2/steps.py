"""The steps of a login by OAuth 2.0, as a browser takes them."""

from urllib.parse import parse_qsl, urlsplit

import httpx2

from tests.oauth2.fake_as import FakeAS
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, Browser


def begin(browser: Browser, next_: str | None = None) -> str:
    """Start a login; gives the address at the authorization server."""
    answer = browser.get(LOGIN, FROM_HERE, params={} if next_ is None else {"next": next_})
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def asked(location: str) -> dict[str, str]:
    """The query of that address."""
    return dict(parse_qsl(urlsplit(location).query))


def come_back(browser: Browser, query: object) -> httpx2.Response:
    """Open the callback with a query, as the server's redirect does."""
    return browser.get(CALLBACK, FROM_ELSEWHERE, params=query)


def log_in(browser: Browser, server: FakeAS, *, sub: str = "xwms-user-1234", **claims: object) -> httpx2.Response:
    """The whole story; gives the answer to the callback."""
    return come_back(browser, server.consent(begin(browser), sub=sub, **claims))


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    """Status and stable code of a refusal, from its page or its document."""
    if answer.headers["content-type"].startswith("application/problem+json"):
        return answer.status_code, answer.json()["code"]
    return answer.status_code, answer.text.partition('<span dir="ltr"><code>')[2].partition("</code>")[0]


def nothing_happened(browser: Browser, answer: httpx2.Response) -> bool:
    """Nobody is signed in, and no session cookie was so much as tried."""
    return browser.who() is None and "xwms_session" not in "".join(answer.headers.get_list("set-cookie"))
