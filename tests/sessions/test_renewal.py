"""Which answers carry a renewed or changed session, and what they then say to caches: SM-14.

Knows: what applications say to caches (tests/corpus/cache_controls.py), and what a browser and a cache can see.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from werkzeug.test import EnvironBuilder

import xwms_auth.flask
import xwms_auth.starlette
from tests.corpus.cache_controls import ALL, NOT_SHARED, OTHERS, SHARED
from tests.sessions.saying import a_cache_may_keep, ask, lines, saying, session_in
from tests.tools.fake_xwms import envelope, person
from tests.tools.places import KINDS, SERVERS
from tests.tools.site import ME, PROGRAM, Browser, Site

IDLE, INTERVAL, DAYS = 300, 15, 7 * 86_400
RECHECK = 60
SUB = "xwms-user-1234"

every_kind = pytest.mark.parametrize("kind", KINDS)
a_few = [headers for every in (NOT_SHARED, SHARED, OTHERS) for headers in (every[1], every[-1])]
every_said = pytest.mark.parametrize(
    ("kind", "corpus"), [pytest.param(kind, ALL if kind in ("cookie", "sqlite") else a_few, id=kind) for kind in KINDS]
)


@pytest.fixture
def make(make_site: Callable[..., Site], where: Callable[[str], dict[str, Any]]) -> Callable[..., Site]:
    """The site with its sessions in this kind of store. It lives long, and is idle soon."""

    def made(kind: str, **more: Any) -> Site:
        return make_site(session_idle=IDLE, session_lifetime=DAYS, **where(kind), **more)

    return made


def session_of(site: Site) -> str:
    browser = site.browser()
    browser.log_in(SUB)
    return browser.cookies()[site.session_cookie]


def own(answer: Any, said: Any) -> bool:
    """Whether each header of the application's is there as it was, in its order."""
    return all(
        [value for other, value in said if other.lower() == name] == lines(answer, name)
        for name in {name.lower() for name, _ in said} - {"set-cookie", "vary"}
    )


def check_varies(answer: Any) -> None:
    vary = {part.strip().lower() for line in lines(answer, "vary") for part in line.split(",")}
    assert vary & {"cookie", "*"}


@every_said
def test_a_renewal_rides_on_every_answer_that_is_not_for_shared_caches(make, kind, corpus, subtests):
    """SM-14: with each answer somebody stays signed in, or the next one says it."""
    site = make(kind)
    said, cookie = saying(site), session_of(site)
    for headers in corpus:
        with subtests.test(headers=headers):
            site.clock.advance(IDLE - 1)
            said.headers = headers
            answer = ask(site, "/open", cookie)
            renewed = session_in(site, answer)
            cookie = renewed or cookie
            assert answer.text == SUB
            assert all(value in lines(answer, "set-cookie") for name, value in headers if name == "Set-Cookie")
            check_varies(answer)
            if headers in SHARED:
                assert renewed is None
                assert own(answer, headers) or not any(name.lower() == "cache-control" for name, _ in headers)
                said.headers = ()
                if kind not in SERVERS:
                    renewed = session_in(site, ask(site, "/open", cookie))
                    assert renewed, "the next answer that may carry it does"
                    cookie = renewed
            else:
                assert renewed
                assert not a_cache_may_keep(answer)
            if headers in NOT_SHARED and "public" not in str(headers):
                assert own(answer, headers)
            if headers in OTHERS:
                control = ", ".join(lines(answer, "cache-control"))
                assert control.startswith("private")
                assert all(value in control for name, value in headers if name == "Cache-Control")


@every_said
def test_an_answer_of_a_guarded_route_is_never_public(make, kind, corpus, subtests):
    """SM-14: whatever the application or its framework says; so it carries the renewed session too."""
    site = make(kind)
    said, cookie = saying(site), session_of(site)
    for headers in corpus:
        with subtests.test(headers=headers):
            said.headers = headers
            assert not a_cache_may_keep(ask(site, "/guarded", cookie))
            site.clock.advance(INTERVAL + 1)
            answer = ask(site, "/guarded", cookie)
            renewed = session_in(site, answer)
            assert renewed
            cookie = renewed
            assert not a_cache_may_keep(answer)
            check_varies(answer)
            kept = {part.strip() for line in lines(answer, "cache-control") for part in line.split(",")}
            for name, value in headers:
                if name.lower() == "cache-control" and '"' not in value and not re.search("public[; ]", value):
                    words = {part.strip() for part in value.split(",")}
                    gone = {word for word in words if word.lower().startswith(("public", "s-maxage="))}
                    assert words - gone <= kept


@every_said
def test_a_changed_session_rides_on_every_answer_and_makes_it_private(make, kind, corpus, subtests):
    """SM-13: a name that XWMS has just confirmed. A server store keeps it without a cookie."""
    site = make(kind, recheck=RECHECK)
    said, cookie = saying(site), session_of(site)
    for number, headers in enumerate(corpus):
        with subtests.test(headers=headers):
            site.clock.advance(RECHECK + 1)
            site.fx.answer("get/user/info", envelope({"user": {**person(SUB), "name": f"Anna the {number}."}}))
            said.headers = headers
            answer = ask(site, "/open", cookie)
            changed = session_in(site, answer)
            if headers in SHARED and kind in SERVERS:
                assert changed is None
            else:
                assert changed
                assert not a_cache_may_keep(answer)
            cookie = changed or cookie
            asked = [*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={cookie}")]
            assert site.raw(ME, headers=asked).json()["user"]["name"] == f"Anna the {number}."


@pytest.mark.parametrize(
    ("kind", "control"), [*[(kind, "no-cache") for kind in KINDS], *[(kind, "public") for kind in SERVERS]]
)
def test_somebody_who_is_busy_stays_signed_in_whatever_their_pages_say(make, kind, control):
    """Also in a browser that keeps to `Max-Age` and never gets another cookie, because a server store has no need."""
    site = make(kind)
    saying(site).headers = [("Cache-Control", control)]
    browser = site.browser()
    set_cookies = browser.log_in(SUB).headers.get_list("set-cookie")
    cookie = browser.cookies()[site.session_cookie]
    for _ in range(5):
        site.clock.advance(IDLE - 1)
        answer = ask(site, "/open", cookie)
        assert answer.text == SUB
        cookie = session_in(site, answer) or cookie
    (lives,) = [int(line.split("Max-Age=")[1].split(";")[0]) for line in set_cookies if site.session_cookie in line]
    assert lives >= DAYS


@every_kind
@pytest.mark.parametrize("headers", [(), (("Cache-Control", "no-cache"),)])
def test_a_stream_of_known_length_that_asks_late_is_marked_like_any_other(make, kind, headers):
    """SM-14: its head waits for the first piece."""
    site = make(kind)
    said = saying(site)
    said.headers = headers
    browser = site.browser()
    browser.log_in(SUB)
    site.clock.advance(INTERVAL + 1)
    answer = browser.get("/late")
    assert (answer.text, answer.headers["content-length"]) == ("xwms", "4")
    assert session_in(site, answer)
    assert not a_cache_may_keep(answer)
    check_varies(answer)


# files


def add_files(site: Site, file: Path, **options: Any) -> None:
    """/file, and /members behind a guard: the same file as the framework sends it."""
    if site.edge == "flask":
        site.app.config.update(options)

        def send() -> flask.Response:
            return flask.send_file(file)

        def from_memory() -> flask.Response:
            return flask.send_file(io.BytesIO(b"a file"), mimetype="text/plain")

        site.app.add_url_rule("/file", "file", send)
        site.app.add_url_rule("/members", "members", xwms_auth.flask.login_required(send))
        site.app.add_url_rule("/memory", "memory", xwms_auth.flask.login_required(from_memory))
        return

    async def send_it(request: Request) -> Response:
        age = options.get("SEND_FILE_MAX_AGE_DEFAULT")
        return FileResponse(file, headers={"Cache-Control": f"public, max-age={age}" if age else "no-cache"})

    guarded = xwms_auth.starlette.login_required(send_it)
    site.app.app.router.routes += [
        Route("/file", send_it),
        Route("/members", guarded),
        Route("/memory", guarded),
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("a file")
    return path


@pytest.mark.parametrize("age", [None, 3600])
def test_a_file_for_members_is_for_nobody_else(site, browser, file, age):
    """SM-14: Flask says `no-cache` or `public` by itself."""
    add_files(site, file, SEND_FILE_MAX_AGE_DEFAULT=age)
    browser.log_in(SUB)
    for path in ("/members", "/memory"):
        answer = browser.get(path)
        assert (answer.status_code, answer.text) == (200, "a file")
        assert not a_cache_may_keep(answer)
        check_varies(answer)
        assert ("max-age=3600" if age else "no-cache") in answer.headers["cache-control"]
    public = browser.get("/file")
    assert public.headers["cache-control"] == (f"public, max-age={age}" if age else "no-cache")
    assert "vary" not in public.headers


def test_not_modified_is_said_to_its_member_only(site, browser, file):
    """SM-14: a 304 renews what a cache has kept, with its headers."""
    add_files(site, file, SEND_FILE_MAX_AGE_DEFAULT=3600)
    browser.log_in(SUB)
    first = browser.get("/members")
    site.clock.advance(601)
    headers = {"If-None-Match": first.headers["etag"]}
    again = browser.get("/members", headers)
    # Starlette's FileResponse leaves conditional requests to StaticFiles.
    assert again.status_code == (304 if site.edge == "flask" else 200)
    assert not a_cache_may_keep(again)
    assert session_in(site, again)


@pytest.mark.parametrize("edge", ["flask"])
def test_a_file_is_handed_to_the_server_as_it_is(site, edge):
    """So that it can send it by itself: a wrapper of ours around it would be copied piece by piece (PEP 3333)."""

    class FileWrapper:
        def __init__(self, file: Any, size: int = 0) -> None:
            self.file = file

        def __iter__(self) -> Any:
            return iter([self.file.read()])

        def close(self) -> None:
            self.file.close()

    site.app.add_url_rule("/file", "file", lambda: flask.send_file(__file__))
    environ = EnvironBuilder("/file").get_environ() | {"wsgi.file_wrapper": FileWrapper}
    got: list[Any] = []
    body = site.app(environ, lambda *start: got.append(start))
    assert isinstance(body, FileWrapper)
    assert got[0][0] == "200 OK"
    body.close()


# looking without renewing


def poll(browser: Browser, path: str, headers: dict[str, str], *, times: int = 20) -> list[str | None]:
    site = browser.site
    found = []
    for _ in range(times):
        site.clock.advance(INTERVAL + 1)
        answer = browser.get(path, headers)
        assert answer.text == SUB
        found.append(session_in(site, answer))
    return found


OWN_SCRIPT = {**PROGRAM, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
MARKED = {**OWN_SCRIPT, "XWMS-Passive": "1"}


@every_kind
@pytest.mark.parametrize(("path", "headers"), [("/quiet", OWN_SCRIPT), ("/open", MARKED), ("/guarded", MARKED)])
def test_a_page_that_polls_passively_keeps_no_session_alive(make, kind, path, headers):
    site = make(kind)
    saying(site)
    browser = site.browser()
    browser.log_in(SUB)
    strides = (IDLE - 1) // (INTERVAL + 1)
    assert poll(browser, path, headers, times=strides) == [None] * strides
    site.clock.advance(INTERVAL + 1)
    assert browser.who() is None


@every_kind
def test_polling_passively_keeps_nothing_from_a_person_who_is_there(make, kind):
    """Each poll comes just before the person's own request, when a renewal is due."""
    site = make(kind)
    saying(site)
    browser = site.browser()
    browser.log_in(SUB)
    for _ in range(5):
        site.clock.advance(IDLE - 1)
        for headers in (MARKED, MARKED):
            assert session_in(site, browser.get("/open", headers)) is None
        assert session_in(site, browser.get("/open"))


@pytest.mark.parametrize(
    "headers",
    [
        {**MARKED, "Sec-Fetch-Site": "cross-site"},
        {**MARKED, "Sec-Fetch-Site": "same-site"},
        {**OWN_SCRIPT, "XWMS-Passive": "0"},
        {**OWN_SCRIPT, "XWMS-Passive": ""},
    ],
)
def test_only_a_script_of_the_site_itself_looks_without_renewing(make, headers):
    site = make("cookie")
    saying(site)
    browser = site.browser()
    browser.log_in(SUB)
    assert any(poll(browser, "/open", headers, times=1))


@every_kind
def test_what_has_changed_is_saved_by_a_passive_page_too_without_the_person_being_seen(make, kind):
    site = make(kind, recheck=RECHECK)
    saying(site)
    browser = site.browser()
    browser.log_in(SUB)
    site.clock.advance(RECHECK + 1)
    site.fx.answer("get/user/info", envelope({"user": {**person(SUB), "name": "Anna II"}}))
    browser.get("/quiet", OWN_SCRIPT)
    assert browser.get(ME, PROGRAM).json()["user"]["name"] == "Anna II"
    site.clock.advance(IDLE - RECHECK - 1)
    assert browser.who() is None
