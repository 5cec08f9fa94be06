"""Who is told what about a refusal: a visitor that login is not available, a developer in debug mode what to change."""

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlsplit

import flask
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import xwms_auth.flask
from tests.tools.fake_xwms import CANARY, CLIENT_ID, FakeXWMS
from tests.tools.faults import Reply, refusal
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, HTTPS_URI, LOGIN, PROGRAM, Site
from xwms_auth import ConfigError, StoreUnavailable, XWMSConfig
from xwms_auth._core.config.secret_sources import SecretFromFile
from xwms_auth._core.http.messages import Request
from xwms_auth._core.responses import responses
from xwms_auth._core.responses.pages import error_page
from xwms_auth.asgi import XWMSAuthMiddleware
from xwms_auth.fastapi import XWMSAuthMiddleware as FastAPIMiddleware

DOCS = Path(__file__).parents[2] / "docs"
TITLE, REASON = "For the developer", "Shown because debug mode is on"
TWO_URIS = (HTTPS_URI, "https://www.app.example/xwms/validateToken")
IN_CLIENT = "Dashboard > Clients > (your client)"


# --- how each refusal comes about -----------------------------------------------------------------------------------


def sent_by(reader: str, person: dict[str, str]) -> dict[str, str]:
    """The headers of a person's browser, or those of a program."""
    return person if reader == "page" else PROGRAM


def refused_by_xwms(status: int, message: str):
    def start(site: Site, reader: str) -> httpx2.Response:
        site.fx.answer("sign-token", refusal(status, message))
        return site.browser().get(LOGIN, sent_by(reader, FROM_HERE))

    return start


def bad_answer(site, reader):
    site.fx.answer("sign-token", "200 html")
    return site.browser().get(LOGIN, sent_by(reader, FROM_HERE))


def unreachable(site, reader):
    site.fx.answer("sign-token", Reply(status=503))
    return site.browser().get(LOGIN, sent_by(reader, FROM_HERE))


def too_slow(site, reader):
    site.fx.answer("sign-token", "hang")
    return site.restarted(timeout=0.2, debug=site.config.debug).browser().get(LOGIN, sent_by(reader, FROM_HERE))


def token_of_nobody(site, reader):
    browser = site.browser()
    browser.start()
    return browser.come_back("a-token-of-nobody", sent_by(reader, FROM_ELSEWHERE))


def not_started(site, reader):
    return site.browser().get(CALLBACK, sent_by(reader, FROM_ELSEWHERE), params={"token": "a-token-of-nobody"})


def expired(site, reader):
    browser = site.browser()
    token = site.fx.approve(browser.start())
    site.clock.advance(11 * 60)
    return browser.come_back(token, sent_by(reader, FROM_ELSEWHERE))


def not_approved(site, reader):
    site.fx.answer("sign-token-verify", refusal(403, "The approval was withdrawn."))
    browser = site.browser()
    return browser.come_back(site.fx.approve(browser.start()), sent_by(reader, FROM_ELSEWHERE))


def unknown_host(site, reader):
    return site.raw(LOGIN, headers=[*sent_by(reader, FROM_HERE).items()], host="other.example:8443")


# code, options, how it comes about, and what a developer must read.
REFUSALS = {
    "redirect_not_registered": (
        {},
        refused_by_xwms(422, "The redirect URL is not registered."),
        [f"{IN_CLIENT} > Redirect URIs: add exactly `{HTTPS_URI}`", f"`{CLIENT_ID}`", "XWMS_REDIRECT_URI"],
    ),
    "credentials_rejected": (
        {"domain": "desk.example"},
        refused_by_xwms(401, "Invalid client credentials."),
        [
            f"client id `{CLIENT_ID}`",
            "domain `desk.example`",
            f"{IN_CLIENT} > Secrets: the secret must be active, not expired, and linked to the domain",
            "A regenerated secret must be put into `XWMS_CLIENT_SECRET`, or into the file of `XWMS_CLIENT_SECRET_FILE`",
            f"{IN_CLIENT} > Domains: `desk.example`",
        ],
    ),
    "client_disabled": (
        {},
        refused_by_xwms(403, "The client is disabled."),
        [f"`{CLIENT_ID}`", f"{IN_CLIENT}: enable it", "Cause: XWMS answered 403: The client is disabled."],
    ),
    "not_approved": (
        {},
        not_approved,
        [f"{IN_CLIENT} > Scopes", "Cause: XWMS answered 403: The approval was withdrawn."],
    ),
    "xwms_unreachable": (
        {},
        unreachable,
        ["`{api_url}`, from `XWMS_API_URI`", "is the sandbox running? `xwms-auth sandbox`", "Cause: XWMS answered 503"],
    ),
    "xwms_timeout": ({}, too_slow, ["`{api_url}`, from `XWMS_API_URI`", "0.2 seconds, from `XWMS_TIMEOUT`"]),
    "xwms_bad_answer": ({}, bad_answer, ["`XWMS_API_URI` is `{api_url}`", "`XWMS_LOGIN_ORIGINS`", "application/json"]),
    "token_rejected": (
        {"callback_token": "same"},
        token_of_nobody,
        ["`XWMS_CALLBACK_TOKEN` (`callback_token`) is `same`", "set it to `either`", "`login_finished`"],
    ),
    "login_not_started": (
        {},
        not_started,
        [
            "`https://app.example`",
            f"redirect URI `{HTTPS_URI}`",
            "is for the host `app.example`",
            "XWMS_SESSION_SECRET",
        ],
    ),
    "login_expired": (
        {},
        expired,
        ["`https://app.example`", "is for the host `app.example`", "compare the clocks"],
    ),
    "host_not_registered": (
        {"redirect_uris": TWO_URIS},
        unknown_host,
        ["the host `other.example:8443`", *(f"`{uri}`" for uri in TWO_URIS), "XWMS_REDIRECT_URI"],
    ),
}


class Box(HTMLParser):
    """The text in the developer's box, item by item with code between backticks, and the elements of the page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.items: list[str] = []
        self.heading = self.said = ""
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "action") and value]
        if self._within or tag == "aside":
            self._within.append(tag)
            if tag == "li":
                self.items.append("")
            if tag == "code":
                self.items[-1] += "`"

    def handle_endtag(self, tag):
        if self._within:
            assert self._within.pop() == tag
            if tag == "code":
                self.items[-1] += "`"

    def handle_data(self, data):
        if "li" in self._within:
            self.items[-1] += data
        elif "h2" in self._within:
            self.heading += data
        elif "p" in self._within:
            self.said += data


def advice_in(answer: httpx2.Response) -> list[str]:
    """What the answer tells a developer; an answer of either form without the box or the member tells nothing."""
    if "json" in answer.headers["content-type"]:
        advice = answer.json().get("developer", [])
        assert isinstance(advice, list)
        assert all(isinstance(sentence, str) for sentence in advice)
        return advice
    box = Box(answer.text)
    assert (box.heading, box.said) == ((TITLE, REASON) if box.items else ("", ""))
    return box.items


def assert_nothing_for_developers(answer: httpx2.Response, config: XWMSConfig) -> None:
    named = f'<span dir="auto">{config.registered[0].host}</span>'  # by which the visitor knows it
    shown = unescape(answer.text.replace(named, "")) + str(answer.headers.multi_items())
    settings = (config.client_id, config.api_url, config.api.netloc, *config.redirect_uris, config.domain)
    for word in ("developer", "debug", "Dashboard", "XWMS_", "Cause", "sandbox", *settings):
        assert word not in shown, word


# --- what is told, and to whom --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", REFUSALS)
def test_debug_mode_tells_the_developer_what_to_change_and_changes_nothing_else(make_site, code, subtests):
    """Told to a page and to a program; without debug mode neither has a word for developers."""
    options, provoke, told = REFUSALS[code]
    for reader in ("page", "json"):
        silent, site = make_site(**options), make_site(debug=True, **options)
        plain, told_more = provoke(silent, reader), provoke(site, reader)
        with subtests.test(f"what is told to a {reader}"):
            assert code in told_more.text
            advice = "\n".join(advice_in(told_more))
            for words in told:
                assert words.replace("{api_url}", site.config.api_url) in advice
            assert "\nCause: " in advice
            assert_settings_are_code(advice)
            assert_no_secret_and_no_token(told_more)
        with subtests.test(f"without debug mode, to a {reader}"):
            assert code in plain.text
            assert advice_in(plain) == []
            assert_nothing_for_developers(plain, silent.config)
        with subtests.test(f"nothing else in the answer to a {reader}"):
            assert_same_but_for_the_advice(plain, told_more)


def assert_settings_are_code(advice: str) -> None:
    outside = "".join(advice.replace("\n", " ` ` ").split("`")[::2])
    assert re.findall(r"XWMS_\w+|(?<!\S)--\w+", outside) == []


def sandbox_messages() -> list[tuple[int, str]]:
    """What the sandbox answers to a call that it refuses, by its documentation."""
    table = DOCS.joinpath("sandbox.md").read_text().partition("## How a call is checked")[2].partition("## OAuth")[0]
    found = [(int(status), text) for status, text in re.findall(r"^\|[^|]*\| (\d{3}) \| ([^|]+) \|", table, re.M)]
    assert len(found) > 15
    return found


@pytest.mark.parametrize(("status", "message"), sandbox_messages())
def test_what_the_sandbox_says_itself_is_told_word_by_word(make_site, status, message):
    advice = advice_in(refused_by_xwms(status, message)(make_site(debug=True), "page"))
    assert f"Cause: XWMS answered {status}: {message}" in advice


def assert_same_but_for_the_advice(plain: httpx2.Response, told_more: httpx2.Response) -> None:
    assert told_more.status_code == plain.status_code
    policies = [answer.headers["content-security-policy"] for answer in (plain, told_more)]
    without_hash = [re.sub(r"'sha256-[^']+'", "", policy) for policy in policies]
    assert without_hash[0] == without_hash[1]
    heads = [
        {name: value for name, value in answer.headers.items() if name not in ("content-length", "set-cookie")}
        for answer in (plain, told_more)
    ]
    heads[0]["content-security-policy"] = heads[1]["content-security-policy"] = ""
    assert heads[0] == heads[1]
    if "json" in plain.headers["content-type"]:
        document = told_more.json()
        del document["developer"]
        assert document == plain.json()
        return
    without_box = re.sub(r"\n?<aside.*?</aside>", "", told_more.text, flags=re.S)
    bodies = [re.sub(r"<style>.*?</style>", "", text, flags=re.S) for text in (plain.text, without_box)]
    assert bodies[0] == bodies[1]


NO_FAULT_OF_A_SETTING = {
    "login_required": ("GET", "/who", PROGRAM),
    "method_not_allowed": ("POST", "/xwms/me", FROM_HERE),
    "cross_site": ("POST", "/xwms/logout", FROM_ELSEWHERE),
    "token_missing": ("GET", CALLBACK, FROM_HERE),
    "token_malformed": ("GET", f"{CALLBACK}?token=x", FROM_HERE),
    "not_a_navigation": ("GET", LOGIN, {**PROGRAM, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}),
}


def test_what_no_setting_can_mend_is_told_to_nobody(make_site):
    site = make_site(debug=True)
    for name, (method, path, headers) in NO_FAULT_OF_A_SETTING.items():
        answer = site.browser().client.request(method, path, headers=headers)
        assert 400 <= answer.status_code < 500, name
        assert advice_in(answer) == [], name
        assert TITLE not in answer.text, name


@pytest.mark.parametrize("flow", ["sign-token", "oauth2"])
def test_a_link_to_the_logout_is_answered_with_the_form_that_does_it(make_site, flow):
    more = {"flow": "oauth2", "issuer": "http://127.0.0.1:9"} if flow == "oauth2" else {}
    browser = make_site(debug=True, logout_path="/leave", **more).browser()
    page = browser.get("/leave", FROM_HERE)
    assert page.status_code == 405
    form = '`<form method="post" action="/leave"><button>Log out</button></form>`'
    [advice] = [one for one in advice_in(page) if "Cause" not in one]
    assert advice.endswith(f"`xwms_logout_form()` in a template, or {form}")
    assert "<form" not in page.text, "it is shown, and is no form"
    assert advice in browser.get("/leave", PROGRAM).json()["developer"]


def test_the_style_of_the_box_is_allowed_by_the_policy_and_the_page_links_to_its_own_origin_only(make_site):
    site = make_site(debug=True)
    page = refused_by_xwms(422, "redirect")(site, "page")
    styles = re.findall(r"<style>(.*?)</style>", page.text, re.S)
    assert len(styles) == 1
    assert ".developer" in styles[0]
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in page.headers["content-security-policy"]
    box = Box(page.text)
    assert box.links
    assert all(link.startswith("/") and not link.startswith("//") for link in box.links)
    assert not {"script", "img", "iframe"} & set(box.tags)


def test_the_dashboard_is_named_as_text_where_xwms_is_on_this_machine(make_site):
    site = make_site(debug=True)
    advice = advice_in(refused_by_xwms(422, "redirect")(site, "page"))
    assert f"The dashboard of this local XWMS: `http://{urlsplit(site.config.api_url).netloc}/dashboard`" in advice


def test_an_xwms_elsewhere_has_no_local_dashboard_and_no_sandbox_to_start():
    config = XWMSConfig(client_id="desk", client_secret=CANARY, redirect_uris=HTTPS_URI, debug=True)
    for error in (xwms_auth.Unreachable("no connection"), xwms_auth.RedirectNotRegistered("no")):
        made = responses.refusal(config, Request(method="GET", path="/", headers=PROGRAM_HEADERS), error)
        assert '"developer"' in made.body
        assert "local XWMS" not in made.body
        assert "sandbox" not in made.body


PROGRAM_HEADERS = {name.lower(): value for name, value in PROGRAM.items()}


def test_every_fault_of_the_settings_is_a_sentence_of_its_own(make_site, tmp_path):
    file = tmp_path / "secret"
    file.write_text(CANARY)
    environ = {"XWMS_CLIENT_ID": CLIENT_ID, "XWMS_CLIENT_SECRET_FILE": str(file), "XWMS_REDIRECT_URI": HTTPS_URI}
    config = XWMSConfig.from_env({**environ, "XWMS_DEBUG": "1"})
    error = ConfigError(["the first is wrong", "the second is wrong"])
    made = responses.refusal(config, Request(method="GET", path="/", headers=PROGRAM_HEADERS), error)
    assert httpx2.Response(200, content=made.body).json()["developer"] == ["the first is wrong", "the second is wrong"]


def test_a_secret_file_that_has_gone_is_told_to_the_developer_without_what_was_in_it(make_site, tmp_path):
    site = make_site()
    file = tmp_path / "secret"
    file.write_text(CANARY)
    uses_file = Site.restarted(site, debug=True, client_secret=SecretFromFile(file))
    file.unlink()
    site.fx.answer("sign-token", refusal(401, "The client secret is wrong."))
    page = uses_file.browser().get(LOGIN)
    assert page.status_code == 500
    assert "is not there, so that the secret before it was sent" in " ".join(advice_in(page))
    assert CANARY not in page.text


def test_the_store_that_is_down_is_named_by_its_kind():
    config = XWMSConfig(
        client_id="d", client_secret="s", redirect_uris=HTTPS_URI, session_store="memory://", debug=True
    )
    made = responses.refusal(
        config, Request(method="GET", path="/", headers=PROGRAM_HEADERS), StoreUnavailable("no connection")
    )
    advice = httpx2.Response(200, content=made.body).json()["developer"]
    assert "`XWMS_SESSION_STORE` (`session_store`) is of the kind `memory`" in advice[0]
    assert advice[-1] == "Cause: no connection"


def test_a_login_begun_under_another_host_is_told_both_hosts(edge, make_fx):
    site = Site(edge, make_fx(), redirect_uris="http://localhost:5000/xwms/validateToken", debug=True)
    answer = site.raw(
        CALLBACK, query="token=a-token-of-nobody", headers=[*FROM_ELSEWHERE.items()], host="127.0.0.1:5000"
    )
    advice = "\n".join(advice_in(answer))
    assert "Open the site at `http://localhost:5000`" in advice
    assert "is for the host `127.0.0.1:5000`, which is not the redirect URI's, `localhost:5000`" in advice


def test_with_several_redirect_uris_the_one_in_use_is_named(make_site):
    site = make_site(debug=True, redirect_uris=TWO_URIS)
    site.fx.answer("sign-token", refusal(422, "redirect"))
    page = site.browser("https://www.app.example").get(LOGIN)
    assert f"add exactly `{TWO_URIS[1]}`" in "\n".join(advice_in(page))
    assert TWO_URIS[0] not in page.text


# --- what is never told ---------------------------------------------------------------------------------------------

HOSTILE_HOSTS = (
    "</li></ul></aside><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a`</code><b>`b",
    "`odd",
    "${items} $title %s",
    "&lt;script&gt;",
    "h\x7f\x85\xa0st",
    "x" * 5000,
)


def test_a_hostile_host_header_stays_text_in_the_box(make_site):
    site = make_site(debug=True, redirect_uris=TWO_URIS)
    usual = site.raw(LOGIN, headers=[*FROM_HERE.items()], host="plain.example")
    for host in HOSTILE_HOSTS:
        hostile = site.raw(LOGIN, headers=[*FROM_HERE.items()], host=host)
        assert usual.status_code == hostile.status_code == 400, host
        assert Box(hostile.text).tags == Box(usual.text).tags
        assert Box(hostile.text).links == Box(usual.text).links
        assert len(hostile.text) < len(usual.text) + 5000, host
        shown = advice_in(hostile)
        assert len(shown) == len(advice_in(usual)), host
        plain = host.replace("`", "'")[:400]
        plain = plain.replace("\x7f", "\\x7f").replace("\x85", "\\x85").replace("\xa0", "\\xa0")
        assert f"the host `{plain}`." in shown[0]


def test_a_hostile_host_header_stays_text_where_the_one_redirect_uri_is_used(make_site):
    site = make_site(debug=True)
    query = "token=a-token-of-nobody"
    usual = site.raw(CALLBACK, query=query, headers=[*FROM_ELSEWHERE.items()], host="plain.example")
    for host in HOSTILE_HOSTS:
        hostile = site.raw(CALLBACK, query=query, headers=[*FROM_ELSEWHERE.items()], host=host)
        assert Box(hostile.text).tags == Box(usual.text).tags, host
        program = site.raw(CALLBACK, query=query, headers=[*PROGRAM.items()], host=host)
        assert program.json()["code"] == "login_not_started", host
        assert advice_in(program), host


def spellings(secret: str) -> list[str]:
    half = len(secret) // 2
    encoded = [base64.b64encode(secret.encode()).decode(), secret.encode().hex(), quote(secret, safe="")]
    return [secret, secret[:half], secret[half:], secret[::-1], *encoded]


def assert_no_secret_and_no_token(answer: httpx2.Response) -> None:
    everything = unescape(answer.text) + str(answer.headers.multi_items())
    for secret in (CANARY, "K3y-for-tests-0123456789-abcdefghij"):
        assert [form for form in spellings(secret) if form in everything] == []
    assert "a-token-of-nobody" not in everything


def test_what_xwms_quotes_in_a_refusal_is_not_repeated(make_site):
    site = make_site(debug=True)
    for quoted in (CANARY, "a-person@example.org", "eyJhbGciOi.token.value"):
        for status, message in ((422, "redirect {}"), (401, "client secret {} is wrong"), (403, "disabled {}")):
            answer = refused_by_xwms(status, message.replace("{}", quoted))(site, "page")
            assert advice_in(answer)
            assert quoted not in unescape(answer.text)


# --- what turns it on -----------------------------------------------------------------------------------------------


def flask_site(fx: FakeXWMS, debug: object) -> httpx2.Client:
    app = flask.Flask(__name__)
    xwms_auth.flask.XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))
    # After the extension was set up, as `app.run(debug=True)` does.
    app.config["DEBUG"] = debug
    return httpx2.Client(transport=httpx2.WSGITransport(app), base_url="https://app.example")


def starlette_inside(fx: FakeXWMS, debug: object) -> httpx2.Client:
    app = Starlette(debug=debug)
    app.add_middleware(XWMSAuthMiddleware, config=XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))
    return TestClient(app, base_url="https://app.example", follow_redirects=False)


def starlette_wrapped(fx: FakeXWMS, debug: object) -> httpx2.Client:
    app = XWMSAuthMiddleware(Starlette(debug=debug), XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))
    return TestClient(app, base_url="https://app.example", follow_redirects=False)


def fastapi_inside(fx: FakeXWMS, debug: object) -> httpx2.Client:
    from fastapi import FastAPI

    app = FastAPI(debug=debug)
    app.add_middleware(FastAPIMiddleware, config=XWMSConfig(**fx.options(redirect_uris=HTTPS_URI)))
    return TestClient(app, base_url="https://app.example", follow_redirects=False)


EVERY_APP = pytest.mark.parametrize("make", [flask_site, starlette_inside, starlette_wrapped, fastapi_inside])


@EVERY_APP
def test_an_application_in_debug_mode_turns_it_on(make_fx, make):
    fx = make_fx()
    fx.answer("sign-token", refusal(422, "redirect"))
    client = make(fx, True)
    assert f"add exactly `{HTTPS_URI}`" in "\n".join(advice_in(client.get(LOGIN, headers=FROM_HERE)))
    assert advice_in(client.get(LOGIN, headers=PROGRAM))


@EVERY_APP
def test_an_application_that_only_seems_to_be_in_debug_mode_does_not(make_fx, make):
    fx = make_fx()
    fx.answer("sign-token", refusal(422, "redirect"))
    for debug in (False, None, "yes", "True", 1, ["x"]):
        client = make(fx, debug)
        for headers in (FROM_HERE, PROGRAM):
            answer = client.get(LOGIN, headers=headers)
            assert "redirect_not_registered" in answer.text, debug
            assert advice_in(answer) == [], debug


def test_an_asgi_application_without_a_debug_mode_has_none(make_fx):
    async def bare(scope, receive, send):
        raise AssertionError("our own route")

    fx = make_fx()
    fx.answer("sign-token", refusal(422, "redirect"))
    for debug, told in ((False, False), (True, True)):
        app = XWMSAuthMiddleware(bare, XWMSConfig(**fx.options(redirect_uris=HTTPS_URI, debug=debug)))
        page = TestClient(app, base_url="https://app.example").get(LOGIN, headers=FROM_HERE)
        assert bool(advice_in(page)) is told


def test_the_environment_turns_it_on_and_off():
    for text in ("1", "true", "TRUE", "yes", "on", " On ", True, 1):
        assert XWMSConfig.from_mapping({**ENVIRON, "XWMS_DEBUG": text}).debug is True, text
    for text in ("0", "false", "False", "no", "off", "", None, False, 0):
        assert XWMSConfig.from_mapping({**ENVIRON, "XWMS_DEBUG": text}).debug is False, text


def test_anything_else_is_a_fault_and_not_a_guess():
    for text in ("2", "ja", "y", "enabled", "-1", "1.0", "*", "tru e", " ", 2, 1.0, ["1"], object()):
        with pytest.raises(ConfigError) as raised:
            XWMSConfig.from_mapping({**ENVIRON, "XWMS_DEBUG": text})
        assert [problem.startswith("XWMS_DEBUG (debug) ") for problem in raised.value.problems] == [True], text


def test_in_code_it_is_a_real_bool():
    for given in ("yes", "1", 1, None):
        with pytest.raises(ConfigError):
            XWMSConfig(client_id="desk", client_secret=CANARY, redirect_uris=HTTPS_URI, debug=given)


ENVIRON = {"XWMS_CLIENT_ID": "desk", "XWMS_CLIENT_SECRET": CANARY, "XWMS_REDIRECT_URI": HTTPS_URI}


# --- the box itself -------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("paper", ["tool", "tool-code"])
def test_the_text_of_the_box_has_the_contrast_of_wcag_aa(scheme, paper):
    page = error_page(
        title="t", detail="d", code="c", action_url=None, action_label="", home_url="/", hints=["a `b` c"]
    )
    palette = re.findall(r":root \{(.*?)\}", page.html, re.S)[2:][scheme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", palette))
    dim, bright = sorted((luminance(colours["tool-text"]), luminance(colours[paper])))
    assert (bright + 0.05) / (dim + 0.05) >= 4.5


def test_hostile_advice_stays_text_on_the_page():
    shown = {"title": "t", "detail": "d", "code": "c", "action_url": None, "action_label": "", "home_url": "/"}
    for text in (*HOSTILE_HOSTS, "`<b>`", "`", "``", "a`<i>`b`</i>`", "\ud800"):
        box = Box(error_page(**shown, hints=[text]).html)
        assert [tag for tag in box.tags[box.tags.index("aside") :] if tag != "code"] == ["aside", "h2", "p", "ul", "li"]
        assert box.items == [text.replace("\ud800", "?")]
