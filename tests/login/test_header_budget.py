"""All headers that we add to one answer fit into what a proxy reads, and no login fails for it: on both edges."""

import subprocess
from itertools import product

import httpx2
import pytest

from tests.attacks.real_servers import Line, listening
from tests.oauth2.fake_as import FakeAS
from tests.oauth2.steps import begin, come_back
from tests.oauth2.steps import log_in as log_in_by_oauth
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.requires import program
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, Browser, Site
from xwms_auth.cli.app_process import wait_until_up
from xwms_auth.cli.ports import any_free

BUDGET = 3500
LONGEST = 2048
NAMES = ("name", "given_name", "family_name")


def size(answer: httpx2.Response) -> int:
    return sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)


@pytest.fixture
def browser(make_site, monkeypatch) -> Browser:
    """A browser each of whose answers is within the budget."""
    browser = make_site().browser()
    watch(browser, monkeypatch)
    return browser


def watch(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    send = browser.client.send

    def measured(request: httpx2.Request, **options: object) -> httpx2.Response:
        answer = send(request, **options)
        assert size(answer) <= BUDGET, (request.method, str(request.url)[:80], answer.headers)
        return answer

    monkeypatch.setattr(browser.client, "send", measured)


def pages(length: int) -> list[str]:
    """Pages with an address of that length, in the characters that cost least and most."""
    return [
        (start + rest * LONGEST)[:length].rstrip("%4") for start, rest in (("/a", "b"), ("/a", "%41"), ("/a?b", "&"))
    ]


@pytest.mark.parametrize("length", [1, 300, 900, 1400, LONGEST])
def test_every_answer_of_a_login_is_small_enough(browser, length):
    site = browser.site
    for page in pages(length):
        asked = browser.get(f"/private?{page}"[:LONGEST])
        assert asked.headers["location"].startswith(LOGIN)
        site.clock.advance(-601)
        for _ in range(12):
            browser.start(page)
        site.clock.advance(601)  # all of them are over, and their cookies are still there
        for _ in range(3):
            token = browser.start(page)
        claims = {"name": "N" * 200, "picture": f"https://pictures.example/{'p' * 300}"}
        ended = browser.come_back(site.fx.approve(token, sub="17", **claims))
        assert ended.status_code == 303
        assert ended.headers["location"] == (page if length <= 900 else ended.headers["location"])
        assert ended.headers["location"] in (page, "/")
        assert browser.who() == "17"
        assert browser.get(LOGIN, params={"next": page}).status_code == 303
        assert browser.post("/xwms/logout", params={"next": page}).status_code == 303


def test_a_person_who_has_to_confirm_is_within_it_too(edge, make_fx, monkeypatch):
    site = Site(edge, make_fx("fresh"), callback_token="fresh", confirm_person=True)
    browser = site.browser()
    watch(browser, monkeypatch)
    for page in pages(LONGEST) + pages(900):
        token = browser.start(page)
        asked = browser.come_back(site.fx.approve(token, sub="17", name="N" * 300))
        shown = browser.get(asked.headers["location"])
        assert shown.status_code == 200
        key = asked.headers["location"].rpartition("confirm=")[2]
        assert browser.post(asked.headers["location"], data={"confirm": key}).status_code == 303
        assert browser.who() == "17"
        browser.log_out()


def test_what_a_page_may_post_to_is_no_more_than_it_needs(edge, fx, monkeypatch):
    origins = [f"https://front-end-{number}.customer.example" for number in range(100)]
    uris = [f"https://customer-{number}.example/xwms/validateToken" for number in range(100)]
    site = Site(edge, fx, trusted_origins=origins, redirect_uris=uris)
    browser = site.browser()
    watch(browser, monkeypatch)
    page = browser.get(LOGIN, FROM_ELSEWHERE, params={"next": f"{origins[7]}/a"})
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert origins[7] in policy
    assert origins[8] not in policy


@pytest.mark.more_packages
@pytest.mark.parametrize("edge", ["flask", "asgi"])
def test_tokens_stay_in_the_cookie_as_long_as_the_login_fits(edge, monkeypatch, caplog):
    with FakeAS() as server:
        site = Site(edge, server)
        kept: list[bool] = []
        for length, page in product((100, 900, 1500, 2200, 6000), ("/hello", *pages(1400))):
            browser = site.browser()
            watch(browser, monkeypatch)
            server.tokens = {"refresh_token": "t" * length}
            caplog.clear()
            answer = (
                log_in_by_oauth(browser, server)
                if page == "/hello"
                else come_back(browser, server.consent(begin(browser, page), sub="xwms-user-1234"))
            )
            assert answer.status_code == 303, (length, page)
            assert browser.who() == "xwms-user-1234"
            kept.append("tokens_not_kept" not in caplog.text)
        assert kept[0]
        assert not kept[-1]


def test_nginx_with_its_own_settings_lets_the_largest_login_through(edge, tmp_path):
    """Its buffer for the head of an answer is one page of memory."""
    config = tmp_path / "nginx.conf"
    with FakeXWMS() as fx, listening(Site(edge, fx)) as app:
        port = any_free()
        config.write_text(NGINX.format(folder=tmp_path, port=port, app=app.address[1]))
        command = [program("nginx", "/usr/sbin/nginx"), "-e", "stderr", "-p", str(tmp_path), "-c", str(config)]
        with subprocess.Popen(command) as process:
            try:
                wait_until_up(process, port=port)
                for length in (100, 800, 1200, 1400, 1600, 1700, 1800, 1900):
                    assert log_in_through(Line(("127.0.0.1", port)), fx, length) == 303, length
            finally:
                process.terminate()


def log_in_through(line: Line, fx: FakeXWMS, length: int) -> int:
    """Log somebody in whose names are that long, to a long page, beside other logins; the status of the callback."""
    headers = [f"{name}: {value}".encode() for name, value in FROM_HERE.items() if name != "Accept"]
    cookies: list[str] = []
    for _ in range(3):
        sent = f"Cookie: {'; '.join(cookies)}".encode()
        started = line.request(f"{LOGIN}?next=/{'n' * 1400}".encode(), *headers, sent, accept=b"text/html")
        cookies += [cookie.partition(";")[0] for cookie in started.all("set-cookie") if "=;" not in cookie]
    token = fx.approve(
        started.all("location")[0].rpartition("/")[2], sub="17", **dict.fromkeys(NAMES, "N" * (length // 3))
    )
    headers = [f"{name}: {value}".encode() for name, value in FROM_ELSEWHERE.items() if name != "Accept"]
    sent = f"Cookie: {'; '.join(cookies)}".encode()
    return line.request(f"{CALLBACK}?token={token}".encode(), *headers, sent, accept=b"text/html").status


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{app}; proxy_set_header Host $http_host; }}
    }}
}}
"""
