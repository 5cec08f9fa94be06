"""Browsers that visit several processes of one application: cookies, and the Fetch Metadata that no page can forge.

Knows: HTTP, and what browsers send and keep.
Must not: import the package.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.attacks.real_servers import Answer, Line

ORIGIN, CALLBACK, LOGIN = "https://app.example", "/xwms/validateToken", "/xwms/auth"
_FORM = re.compile(r"<form\b[^>]*\baction=\"([^\"]+)\"[^>]*>(.*?)</form>", re.S)
_INPUT = re.compile(r"<input\b[^>]*\bname=\"([^\"]+)\"[^>]*\bvalue=\"([^\"]*)\"")


@dataclass(frozen=True, slots=True)
class Door:
    """One application in one process, which may serve several."""

    line: Line
    name: str

    def request(self, target: str, *headers: str, **more: Any) -> Answer:
        lines = [line.encode("latin-1") for line in (f"X-Application: {self.name}", *headers)]
        return self.line.request(target.encode(), *lines, **more)


@dataclass(slots=True)
class Visitor:
    """One browser, and the processes that it can reach. `jar` is name to value."""

    doors: Sequence[Door]
    jar: dict[str, str] = field(default_factory=dict)

    def open(
        self,
        at: int,
        target: str,
        *,
        site: str = "same-origin",
        clicked: bool = True,
        dest: str = "document",
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """Navigate to this address at this process; with `form`, post it."""
        fields = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}
        if clicked:
            fields["Sec-Fetch-User"] = "?1"
        body = b"" if form is None else urlencode(form).encode()
        if form is not None:
            fields |= {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
            fields["Content-Length"] = str(len(body))
        # SameSite=Lax: a frame of another site's page gets none.
        if self.jar and (site == "same-origin" or dest == "document"):
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        lines = [f"{name}: {value}" for name, value in fields.items()]
        method = b"GET" if form is None else b"POST"
        answer = self.doors[at].request(target, *lines, method=method, accept=b"text/html", body=body)
        self.keep(answer)
        return answer

    def keep(self, answer: Answer) -> None:
        """Do as a browser does with `Set-Cookie`."""
        for line in answer.all("set-cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value

    def start(self, at: int, *, target: str = "/") -> str:
        """Start a login by a click here; gives the address at XWMS."""
        answer = self.open(at, f"{LOGIN}?{urlencode({'next': target})}")
        assert answer.status == 302, answer
        return answer.all("location")[0]

    def begin(self, at: int) -> str:
        """Start a login here; gives sign-token's token."""
        return token_of(self.start(at))

    def come_back(self, at: int, token: str, *, dest: str = "document") -> Answer:
        """Open the callback with a token, as the click at XWMS does."""
        return self.open(at, f"{CALLBACK}?token={token}", site="cross-site", dest=dest)

    def insist(self, at: int, answer: Answer) -> Answer:
        """Where the answer leads to a page that asks whether one wants to be this person, say yes."""
        location = (answer.all("location") or [""])[0]
        if answer.status != 303 or urlsplit(location).path != LOGIN:
            return answer
        page = self.open(at, location, site="cross-site")
        found = _FORM.search(page.body.decode())
        if found is None:
            return page
        fields = {unescape(name): unescape(value) for name, value in _INPUT.findall(found[2])}
        return self.open(at, unescape(found[1]), form=fields)

    def who(self) -> str | None:
        """Whose session this browser has, as any of the processes sees it."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        for door in self.doors:
            answer = door.request("/who", f"Cookie: {cookies}")
            assert answer.status in (200, 401), answer
            if answer.status == 200:
                return answer.body.decode()
        return None


def token_of(location: str) -> str:
    """Sign-token's token, with which the address of XWMS's sign-in page ends."""
    return urlsplit(location).path.rpartition("/")[2]
