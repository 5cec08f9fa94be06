"""A person's browser at an example application: what it sends, and the way to the local XWMS and back.

Must not: know one of the examples, or start a server.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

ORIGIN: Final = "http://localhost:5000"
CALLBACK: Final = "/xwms/validateToken"
NAVIGATION: Final = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FETCH: Final = {
    "Accept": "application/json",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}
FIREFOX: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0"
IPHONE: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Mobile Safari/604.1"
)


@dataclass
class Visitor:
    """A person's browser: its own cookies, and the headers a browser sends when a link is clicked or a form sent."""

    http: httpx2.Client
    cookies: httpx2.Cookies = field(default_factory=httpx2.Cookies)
    agent: str = FIREFOX

    def _send(self, method: str, path: str, form: dict[str, str] | None, headers: dict[str, str]) -> httpx2.Response:
        self.http.cookies = self.cookies
        # Safari tells nobody that a person clicked.
        hand = {"Sec-Fetch-User": "?1"} if "Firefox" in self.agent else {}
        sent = NAVIGATION | {"Sec-Fetch-Site": "same-origin", "User-Agent": self.agent} | hand | headers
        response = self.http.request(method, path, data=form, headers=sent, follow_redirects=False)
        self.cookies = httpx2.Cookies(self.http.cookies)
        return response

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self._send("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> httpx2.Response:
        return self._send("POST", path, form or {}, {"Origin": ORIGIN} | headers)

    def log_in(self, sub: str, start: str = "/xwms/auth") -> httpx2.Response:
        """From a login address, over the sign-in page, to where the app sends the person in the end."""
        to_xwms = self.get(start) if "Firefox" in self.agent else self.post(start)
        assert to_xwms.status_code == 302, to_xwms.text
        # It is not https: without `verify` no certificates are read for each login.
        approved = httpx2.post(to_xwms.headers["Location"], data={"person": sub}, trust_env=False, verify=False)
        assert approved.status_code == 303, approved.text
        callback = approved.headers["Location"]
        assert callback.startswith(f"{ORIGIN}/")
        assert f"{CALLBACK}?token=" in callback
        return self.get(callback.removeprefix(ORIGIN), **{"Sec-Fetch-Site": "cross-site"})

    def open_ticket(self, subject: str = "My printer", message: str = "It is on fire.") -> str:
        """The path of the new ticket."""
        answer = self.post("/tickets", {"subject": subject, "message": message})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["Location"])

    def others(self) -> list[str]:
        """The ids of the sessions that the page of devices offers to end."""
        return re.findall(r'<input type="hidden" name="id" value="([^"]+)">', self.get("/devices").text)

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """What a script of the page sends."""
        self.http.cookies = self.cookies
        own = {} if body is None else {"Origin": ORIGIN, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        sent = FETCH | {"User-Agent": self.agent} | own | headers
        response = self.http.request(method, path, content=content, headers=sent, follow_redirects=False)
        self.cookies = httpx2.Cookies(self.http.cookies)
        return response
