"""What is tried at each provider, with the application of tests/oauth2/apis.py: `STEPS`, in this order.

The application runs in this process, and listens on a port as well, because a provider posts its logout tokens there.
The provider's access tokens live for less than a minute, so that each `access_token()` refreshes.
"""

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from tests.attacks.real_servers import listening
from tests.matrix.providers.person import Stuck, walk
from tests.oauth2.apis import APISite
from tests.oauth2.steps import code_of, come_back
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGIN, PROGRAM, Browser
from xwms_auth import XWMSError
from xwms_auth.flask import XWMSAuth

STEPS = (
    "login",
    "`access_token()`",
    "refresh",
    "introspection",
    "revocation",
    "RP-initiated logout",
    "back-channel logout",
)
WORKS, LACKS = "works", "not supported by the server"
CLIENT_ID, SECRET = "support-desk", "a-secret-of-forty-characters-0123456789"
HOME = "https://app.example/"
BACKCHANNEL = "/xwms/backchannel-logout"


class Wrong(Exception):
    """A step went otherwise; the text is one line that says how."""


class Journey:
    """One provider's. `issuer` is its address; `answers` are what a person types into its forms, by the field's name.

    `named` are options about introspection and revocation that its discovery document leaves out. `differs` says of
    steps why they cannot work today; one that works all the same has failed. `meet` and `detour` are for servers whose
    pages are programs: what a person does there first, and where such a page leads.
    """

    def __init__(
        self,
        *,
        issuer: str,
        bound: socket.socket,
        answers: dict[str, str],
        options: dict[str, Any],
        named: Mapping[str, str],
        differs: Mapping[str, str],
        meet: Callable[[httpx2.Client], None] = lambda person: None,
        detour: Callable[[httpx2.Client, str], str] = lambda person, location: "",
    ) -> None:
        self.issuer, self.answers, self._named, self._differs = issuer, answers, named, differs
        self._meet, self._detour = meet, detour
        self._options, self._bound = options, bound
        self.metadata = httpx2.get(options.get("discovery_url") or f"{issuer}/.well-known/openid-configuration").json()
        self.metadata |= {name: value for name, value in named.items() if name.endswith("_endpoint")}

    # what `Site` asks of an XWMS

    def options(self, **changes: object) -> dict[str, Any]:
        usual = {"client_id": CLIENT_ID, "client_secret": SECRET, "redirect_uris": HTTPS_URI, "flow": "oauth2"}
        usual |= {"issuer": self.issuer, "session_store": "memory://", "scopes": "openid profile email offline_access"}
        return {**usual, "session_secret": "K3y-for-tests-0123456789-abcdefghij", **self._options, **changes}

    # the steps

    def run(self) -> dict[str, str]:
        """What came of each step: `WORKS` and a remark, `LACKS`, or "differs: " or "failed: " and why."""
        said: dict[str, str] = {}
        tries: tuple[Callable[[], str | None], ...] = (
            self._log_in, self._access_token, self._refresh, self._introspection, self._revocation,
            self._rp_initiated, self._back_channel,
        )  # fmt: skip
        for step, attempt in zip(STEPS, tries, strict=True):
            said[step] = self._said(step, attempt)
            if step == "login" and said[step] != WORKS:
                return said | dict.fromkeys(STEPS[1:], "not reached")
        return said

    def _said(self, step: str, attempt: Callable[[], str | None]) -> str:
        endpoint = {
            "introspection": "introspection_endpoint",
            "revocation": "revocation_endpoint",
            "RP-initiated logout": "end_session_endpoint",
            "back-channel logout": "backchannel_logout_supported",
        }.get(step)
        why = self._differs.get(step, "")
        if not why and endpoint is not None and not self.metadata.get(endpoint):
            return LACKS
        try:
            remark = attempt()
        except (Wrong, Stuck, AssertionError, httpx2.HTTPError, XWMSError) as fault:
            return f"differs: {why}" if why else f"failed: {type(fault).__name__} {fault}"
        if why:
            return f"failed: it works, though {why}"
        return f"{WORKS}: {remark}" if remark else WORKS

    def _log_in(self) -> None:
        with self._person() as person:
            self.arrive(self._site().browser(), person)

    def _access_token(self) -> None:
        with self._signed_in() as (_, browser, _):
            self._token(browser)

    def _refresh(self) -> None:
        with self._signed_in() as (_, browser, _):
            one, two = self._token(browser), self._token(browser)
            if one == two:
                raise Wrong("the same access token again, with less than a minute left")

    def _introspection(self) -> str:
        with self._signed_in(**self._named) as (site, browser, sub):
            token = self._token(browser)
            answer = site.call(token)
            if answer.status_code != 200:
                raise Wrong(f"an API refuses a good token: {code_of(answer)}")
            if site.call(f"{token}x").status_code != 401:
                raise Wrong("an API takes a changed token")
        named = answer.json()["sub"]
        if named not in {None, sub}:
            raise Wrong(f"the token is {named}'s, the session {sub}'s")
        return "" if named else "the server does not say whose the token is"

    def _revocation(self) -> str:
        with self._signed_in(provider_logout=False, **self._named) as (_, browser, _), _warnings() as logged:
            token = self._token(browser)
            if not self._is_alive(token):
                raise Wrong("userinfo refuses a good token")
            browser.log_out()
            if "token_not_revoked" in "".join(logged):
                raise Wrong("the log says token_not_revoked")
            # RFC 7009 2.1 lets a server leave the access tokens of a refresh token to their end.
            return "the access token lives to its end" if self._is_alive(token) else ""

    def _rp_initiated(self) -> None:
        browser = self._site().browser()
        with self._person() as person:
            self.arrive(browser, person)
            self._leave(browser, person)

    def _back_channel(self) -> None:
        site = self._site()
        leaves, stays = site.browser(), site.browser()
        with self._person() as person, listening(site, self._bound.dup()):
            for browser in (leaves, stays):
                self.arrive(browser, person)
            self._leave(leaves, person)
            reason = stays.get("/who", PROGRAM).json().get("reason") if stays.who() is None else "still signed in"
            if reason != "session_revoked":
                raise Wrong(f"the other browser's session: {reason}")

    # their parts

    def _site(self, **options: object) -> APISite:
        site = APISite("flask", self, **options)
        site.app.add_url_rule("/token", "access_token", XWMSAuth().access_token)
        return site

    @contextmanager
    def _person(self) -> Iterator[httpx2.Client]:
        """A person's browser as the provider sees it."""
        with httpx2.Client(timeout=30) as http:
            self._meet(http)
            yield http

    @contextmanager
    def _signed_in(self, **options: object) -> Iterator[tuple[APISite, Browser, str]]:
        site = self._site(**options)
        browser = site.browser()
        with self._person() as person:
            yield site, browser, self.arrive(browser, person)

    def arrive(self, browser: Browser, person: httpx2.Client) -> str:
        """The whole login; gives who is signed in. Raises `Wrong` and `Stuck`."""
        with _warnings() as logged:
            start = browser.get(LOGIN, FROM_HERE)
        if start.status_code != 302:
            raise Wrong(f"the login answered {code_of(start)}: {' '.join(logged)[:300]}")
        back = self._walk(person, start.headers["location"], until=HTTPS_URI)
        query = dict(parse_qsl(urlsplit(back).query))
        if "code" not in query:
            raise Wrong(f"the provider sent back {query.get('error')}: {query.get('error_description')}")
        with _warnings() as logged:
            answer = come_back(browser, query)
        if answer.status_code != 303:
            raise Wrong(f"the callback answered {code_of(answer)}: {' '.join(logged)[:300]}")
        sub = browser.who()
        if sub is None:
            raise Wrong("nobody is signed in after the callback")
        return sub

    def _leave(self, browser: Browser, person: httpx2.Client) -> None:
        location = browser.log_out().headers["location"]
        if not location.startswith(self.metadata["end_session_endpoint"]):
            raise Wrong(f"the logout leads to {location.partition('?')[0]}")
        if browser.who() is not None:
            raise Wrong("still signed in after the logout")
        self._walk(person, location, until=HOME)

    def _walk(self, person: httpx2.Client, location: str, *, until: str) -> str:
        return walk(person, location, until=until, answers=self.answers, detour=self._detour)

    def _token(self, browser: Browser) -> str:
        with _warnings() as logged:
            answer = browser.get("/token", PROGRAM)
        if answer.status_code != 200:
            raise Wrong(f"access_token() answered {code_of(answer)}: {' '.join(logged)[:300]}")
        return answer.text

    def _is_alive(self, token: str) -> bool:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.get(self.metadata["userinfo_endpoint"], headers=headers).status_code == 200


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the package logs meanwhile, from a warning on."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("xwms_auth")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
