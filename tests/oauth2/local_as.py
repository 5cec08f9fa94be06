"""The local XWMS as the authorization server of tests/tools/site.py's application, which gets a page of tokens.

`token_page(site)` adds `/token` to a site: it answers with the access token of whoever is signed in.
"""

import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth.flask
import xwms_auth.starlette
from tests.oauth2.steps import begin, come_back
from tests.tools.site import HTTPS_URI, Browser, Site
from xwms_auth.sandbox import SandboxServer, SandboxSettings
from xwms_auth.sandbox.domain import api_log, approvals, clients, directory

SCOPES = "openid profile email offline_access"


class LocalAS:
    """A context manager. `options` is what `Site` asks an XWMS for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.settings = SandboxSettings(domain="app.example", redirect_uris=(HTTPS_URI,))
        self.server = SandboxServer(self.settings, port=0, clock=clock)

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.http = httpx2.Client(base_url=self.server.url, trust_env=False, timeout=20)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.http.close()
        self.server.__exit__(kind, error, tb)

    def options(self, **changes: object) -> dict[str, Any]:
        usual = {
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret,
            "redirect_uris": HTTPS_URI,
            "flow": "oauth2",
            "issuer": self.server.url,
            "scopes": SCOPES,
            "session_secret": "K3y-for-tests-0123456789-abcdefghij",
        }
        return {**usual, **changes}

    # the person, and the dashboard

    def consent(self, location: str, sub: str = "1001") -> dict[str, str]:
        """Choose who to be and agree, at this address; gives the query of the callback."""
        page = self.http.get(location).headers["location"]
        answer = self.http.post(page, data={"person": sub, "scope": SCOPES.split()})
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    def withdraw(self, sub: str = "1001") -> None:
        """Take back what the person has agreed to, as the dashboard's "Revoke" does."""
        with self.server.inside.database.work() as session:
            client, person = clients.find(session, self.settings.client_id), directory.find(session, sub)
            assert client is not None
            assert person is not None
            approval = approvals.approval_of(session, client, person)
            assert approval is not None
            approvals.revoke(session, approval, now=0)

    def click(self, path: str, **form: str) -> httpx2.Response:
        """Send a form of the dashboard, as its owner."""
        with httpx2.Client(base_url=self.server.url, trust_env=False, follow_redirects=True, timeout=20) as owner:
            found = re.findall(r'name="csrf_token" value="([^"]+)"', owner.get("/dashboard/register").text)
            owner.post("/dashboard/enter", data={"csrf_token": found[0], "member": "1"})
            found = re.findall(r'name="csrf_token" value="([^"]+)"', owner.get("/dashboard/register").text)
            return owner.post(f"/dashboard{path}", data={"csrf_token": found[0], **form})

    # what it saw

    def calls(self, endpoint: str) -> int:
        """How often an endpoint was called with our client id."""
        with self.server.inside.database.work() as session:
            client = clients.find(session, self.settings.client_id)
            assert client is not None
            return [call.endpoint for call in api_log.calls_of(session, client, limit=500)].count(endpoint)

    def is_active(self, token: str) -> bool:
        """What introspection says of a token."""
        credentials = (self.settings.client_id, self.settings.client_secret)
        answer = self.http.post("/oauth/introspect", data={"token": token}, auth=credentials)
        return bool(answer.json()["active"])


def token_page(site: Site) -> Site:
    """The site with a page that answers with the access token."""
    if site.edge == "flask":
        auth = xwms_auth.flask.XWMSAuth()
        site.app.add_url_rule("/token", "token", auth.access_token)
    else:

        async def token(request: Request) -> Response:
            return PlainTextResponse(await request.auth.access_token())

        site.app.app.router.routes.append(Route("/token", token))
    return site


def log_in(browser: Browser, server: LocalAS, sub: str = "1001") -> httpx2.Response:
    """The whole story; gives the answer to the callback."""
    return come_back(browser, server.consent(begin(browser), sub))
