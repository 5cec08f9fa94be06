"""What a replayed module plays on: one scripted provider, one application over it, and the steps of its login.

The provider is tests/oauth2/fake_as.py: a real HTTP server with real keys that does everything right until it is told
otherwise. A play ends with one line that says what the application did.
"""

import json
import secrets
import time

import httpx2

from tests.oauth2.fake_as import TOKEN, USERINFO, FakeAS, document
from tests.oauth2.jwts import encode, signed
from tests.oauth2.local_as import token_page
from tests.oauth2.steps import begin, code_of, come_back
from tests.tools.fake_xwms import CLIENT_ID
from tests.tools.faults import Reply
from tests.tools.site import FROM_ELSEWHERE, PROGRAM, Browser, Site, query_of

SUB = "user-subject-1234531"
LOGGED_IN = "logged in"
END_SESSION = "/end-session"
BACKCHANNEL = "/xwms/backchannel-logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
LONG = 100_000  # seconds: an ID token that outlives the access token


class Stage:
    """`server` may be told to misbehave before `site` is first used; `site` is made with `options` at that moment."""

    def __init__(self, edge: str, server: FakeAS) -> None:
        self.edge = edge
        self.server = server
        self.options: dict[str, object] = {"session_store": "memory://"}
        server.metadata["end_session_endpoint"] = server.url + END_SESSION
        self._site: Site | None = None

    @property
    def site(self) -> Site:
        if self._site is None:
            self._site = token_page(Site(self.edge, self.server, **self.options))
        return self._site

    # a login

    def log_in(self, browser: Browser | None = None, **person: object) -> str:
        """The whole login; says what came of it, and fails where that contradicts itself."""
        browser = browser or self.site.browser()
        seen = self.server.calls(USERINFO)
        answer = come_back(browser, self.server.consent(begin(browser), sub=SUB, **person))
        if answer.status_code == 303:
            assert browser.who() == SUB
            asked = self.server.to(USERINFO)[seen:]
            assert [request.all("Authorization")[0].partition(" ")[0] for request in asked] == ["Bearer"]
            assert "?" not in asked[0].target
            return LOGGED_IN
        assert browser.who() is None
        assert "xwms_session" not in "".join(answer.headers.get_list("set-cookie"))
        return f"refused: {code_of(answer)[1]}"

    def before_userinfo(self) -> str:
        """A login whose ID token is wrong: nothing may be asked with its access token."""
        said = self.log_in()
        assert self.server.calls(TOKEN) == 1
        assert self.server.calls(USERINFO) == (said == LOGGED_IN)
        return said

    def with_claims(self, **changes: object) -> str:
        """A login whose ID token has these claims; None leaves one out."""
        self.server.claims = changes
        return self.before_userinfo()

    def with_userinfo(self, reply: Reply) -> str:
        self.server.answer(USERINFO, reply)
        return self.log_in()

    def with_broken_signature(self, header: dict[str, object]) -> str:
        self.server.forge = lambda claims: encode(header, claims, lambda data: secrets.token_bytes(64))
        return self.before_userinfo()

    # refresh

    def refresh(self, **changes: object) -> str:
        """A login, its access token's end, and a refresh whose ID token has these claims."""
        self.server.tokens = {"refresh_token": "a-refresh-token"}
        browser = self.site.browser()
        assert self.log_in(browser) == LOGGED_IN
        old = browser.get("/token", PROGRAM).text
        self.server.refreshed_sub = SUB
        self.server.claims = {"exp": int(time.time()) + LONG, "nonce": None, **changes}
        self.site.clock.advance(4000)
        answer = browser.get("/token", PROGRAM)
        if answer.status_code != 200:
            return f"refused: {answer.json()['reason']}" if browser.who() is None else "refused"
        assert answer.text != old
        headers = {"Authorization": f"Bearer {answer.text}"}
        assert httpx2.get(self.server.url + USERINFO, headers=headers).json()["sub"] == SUB
        return "refreshed"

    # logout

    def log_out(self, browser: Browser) -> dict[str, list[str]]:
        """RP-initiated logout; gives the query that the end session endpoint gets."""
        answer = browser.log_out()
        assert answer.status_code == 303
        location = answer.headers["location"]
        assert location.startswith(f"{self.server.url}{END_SESSION}?")
        assert browser.who() is None
        query = query_of(location)
        assert query["client_id"] == [CLIENT_ID]
        return query

    def come_back_from_logout(self, **added: str) -> dict[str, list[str]]:
        """A logout from which the provider sends the person back, with these parameters; gives the query it got."""
        browser = self.site.browser()
        assert self.log_in(browser) == LOGGED_IN
        query = self.log_out(browser)
        [back] = query["post_logout_redirect_uri"]
        assert back == "https://app.example/"
        assert browser.get(back, FROM_ELSEWHERE, params=added).status_code == 200
        assert browser.who() is None
        return query

    def back_channel(self, token: str = "", **changes: object) -> str:
        """One of two browsers logs out, and the provider tells of it; says what becomes of the other's session."""
        self.server.claims = {"sid": "sid-1"}
        leaves, stays = self.site.browser(), self.site.browser()
        assert [self.log_in(browser) for browser in (leaves, stays)] == [LOGGED_IN, LOGGED_IN]
        self.log_out(leaves)
        token = token or signed(self.server.key, self.logout_claims(**changes), typ="logout+jwt")
        body = f"logout_token={token}".encode()
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
        answer = self.site.raw(BACKCHANNEL, method="POST", headers=headers, body=body)
        assert answer.headers["cache-control"] == "no-store"
        ended = stays.who() is None
        return f"{answer.status_code}, {'logged out' if ended else 'still logged in'}"

    def logout_claims(self, **changes: object) -> dict[str, object]:
        """The claims of a good logout token, with these changes; None leaves one out."""
        now = int(time.time())
        good: dict[str, object] = {"iss": self.server.issuer, "aud": CLIENT_ID, "sub": SUB, "sid": "sid-1"}
        good |= {"iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(8), "events": {EVENT: {}}}
        return {name: value for name, value in (good | changes).items() if value is not None}


def as_jwt(text: str) -> Reply:
    """An answer of userinfo as a signed token (OpenID Connect Core 5.3.2)."""
    return Reply(body=text.encode(), headers={"Content-Type": "application/jwt"})


def userinfo(**claims: object) -> Reply:
    return document({"sub": SUB, **claims})


def unsigned(claims: object) -> str:
    return encode({"alg": "none", "typ": "JWT"}, json.dumps(claims), lambda data: b"")
