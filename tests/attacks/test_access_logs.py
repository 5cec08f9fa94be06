"""LP-03, RP-05, SM-06: the access logs of real servers hold no token, and nothing else that a request brought.

Setting the package up is enough. Every server is started as people start it, see logging_servers.py.
"""

import gc
import logging
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import pytest
from gunicorn.glogging import SafeAtoms

from tests.attacks.logging_servers import CLIENT_SECRET, SERVERS, log_of
from tests.attacks.real_servers import Line
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import CALLBACK, HTTPS_URI, Site
from xwms_auth.access_log import LOGGERS, WithoutTokens

TOKEN, CODE, STATE = "canary-token-0123456789", "canary-code-0123456789", "canary-state-0123456789"
COOKIE, BEARER = "canary-cookie-0123456789", "canary-bearer-0123456789"
SECRETS = (TOKEN, CODE, STATE, COOKIE, BEARER, CLIENT_SECRET)
HEADERS = (f"Cookie: xwms_session={COOKIE}".encode(), f"Authorization: Bearer {BEARER}".encode())
SPELLINGS = (
    CALLBACK,
    CALLBACK.replace("T", "%54"),
    f"/mounted{CALLBACK}",
    f"http://app.example{CALLBACK}",
    CALLBACK.removeprefix("/xwms"),
    f"/{CALLBACK}/",
)
every_server = pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)


def visit(line: Line) -> None:
    for path in SPELLINGS:
        assert line.request(f"{path}?token={TOKEN}".encode(), *HEADERS).status
    line.request(f"{CALLBACK}?c%6Fde={CODE}&state={STATE}".encode(), *HEADERS)
    line.request(f"{CALLBACK}?page=3&q=a+b".encode(), *HEADERS)
    line.request(b"/elsewhere?token=kept", *HEADERS)
    line.request(b"/after", *HEADERS, f"Referer: {HTTPS_URI}?token={TOKEN}".encode())


@every_server
def test_lp_03_the_access_log_has_the_callback_and_not_its_token(tmp_path, server):
    """LP-03, RP-05, SM-06: setting the package up is all that somebody did."""
    log = log_of(tmp_path, server, visit)
    assert [secret for secret in SECRETS if secret in log] == [], log
    assert "Traceback" not in log
    assert "--- Logging error ---" not in log
    assert log.count(f"{CALLBACK}?token=…") >= 2
    assert f"{CALLBACK}?c%6Fde=…&state=…" in log or f"{CALLBACK}?code=…&state=…" in log
    assert f"{CALLBACK}?page=3&q=a+b" in log, "whatever else is in a query stays"
    assert "/elsewhere?token=kept" in log, "and the lines of other pages"
    if server.atoms:
        assert "q=[token=…]" in log
        assert "absent=-" in log


@pytest.mark.parametrize("server", [SERVERS["uvicorn"], SERVERS["werkzeug"]], ids=["uvicorn", "werkzeug"])
def test_without_the_filter_it_would_be_there(tmp_path, server):
    """The option turns the filter off; the line of another page shows that the test above is about something."""
    log = log_of(tmp_path, server, visit, XWMS_REDACT_ACCESS_LOGS="0")
    assert TOKEN in log
    assert CODE in log


class Uncopied(dict[str, Any]):
    def __copy__(self) -> NoReturn:
        raise TypeError("there is one of me")


class Walked(Mapping[str, Any]):
    """A mapping that is no dict, and that only answers."""

    def __getitem__(self, name: str) -> str:
        return f"GET {CALLBACK}?token={TOKEN} HTTP/1.1" if name == "r" else "-"

    def __iter__(self) -> Iterator[str]:
        raise ValueError("one name at a time")

    def __len__(self) -> int:
        return 1


GIVEN = {"r": f"GET {CALLBACK}?token={TOKEN} HTTP/1.1", "q": f"token={TOKEN}", "s": 303, "o": None}
MAPPINGS = [
    GIVEN,
    SafeAtoms(GIVEN),
    defaultdict(lambda: "-", GIVEN),
    OrderedDict(GIVEN),
    Counter(GIVEN),
    MappingProxyType(GIVEN),
    Uncopied(GIVEN),
    Walked(),
]


def test_sm_06_a_mapping_stays_what_it_is_whatever_class_it_has():
    """SM-06"""
    for given in MAPPINGS:
        kind = type(given).__name__
        record = record_of("%(r)s", given)
        assert WithoutTokens().filter(record) is True, kind
        assert record.getMessage() == f"GET {CALLBACK}?token=… HTTP/1.1", kind
        if isinstance(given, dict) and not isinstance(given, Uncopied):
            assert type(record.args) is type(given), kind
        if not isinstance(given, Walked):
            assert set(record.args) == set(GIVEN), kind
            assert given["q"] == f"token={TOKEN}", f"{kind}: the server's own is left alone"
        if isinstance(given, SafeAtoms | defaultdict):
            assert record.args["{x-absent}i"] == "-", kind


def record_of(message: object, *args: object) -> logging.LogRecord:
    return logging.LogRecord("any", logging.INFO, __file__, 1, message, args, None)


def test_a_record_that_it_does_not_know_passes_through():
    for args in ((), (7, None), ({"r": 7},), ({},), ("?token",), ("%s",), (b"token=", object())):
        record = record_of("message", *args)
        before = record.args
        assert WithoutTokens().filter(record) is True, args
        assert record.args == before, args
    assert record_of(7).getMessage() == "7"


def test_one_s_own_filter_takes_every_address_and_a_line_without_arguments():
    """LP-03"""
    for line in ("GET /a?token={} HTTP/1.1", '- "GET /a?b=1&code={}" 200 "https://h/a?state={}"'):
        record = record_of(line.replace("{}", TOKEN))
        WithoutTokens().filter(record)
        assert record.getMessage() == line.replace("{}", "…")


def test_a_format_with_arguments_stays_a_format():
    """LP-03"""
    record = record_of("GET /a?token=%s %s", TOKEN, f"/b?token={TOKEN}")
    WithoutTokens().filter(record)
    assert record.getMessage() == f"GET /a?token={TOKEN} /b?token=…"


def lines_of(caplog: pytest.LogCaptureFixture, *addresses: str) -> list[str]:
    """What each logger makes of a request for each address."""
    caplog.clear()
    for name in LOGGERS:
        for address in addresses:
            logging.getLogger(name).warning('%s - "%s %s"', "127.0.0.1", "GET", address)
    assert len(caplog.records) == len(LOGGERS) * len(addresses)
    return sorted({record.getMessage().rpartition(" ")[2].strip('"') for record in caplog.records})


@pytest.fixture
def loggers(monkeypatch: pytest.MonkeyPatch) -> list[logging.Logger]:
    """The servers' loggers as in a new process."""
    found = [logging.getLogger(name) for name in LOGGERS]
    for logger in found:
        monkeypatch.setattr(logger, "filters", [])
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "disabled", False)
    return found


def test_a_hint_about_a_person_is_out_of_the_lines_of_the_login_route(edge, loggers, caplog):
    """LP-03: where a link may set one."""
    with FakeXWMS() as fx:
        site = Site(edge, fx, login_params="login_hint")
        asked = ["/xwms/auth?next=/a&login_hint=anna%40example.org", "/search?login_hint=kept"]
        assert lines_of(caplog, *asked) == ["/search?login_hint=kept", "/xwms/auth?next=/a&login_hint=…"]
        assert site.config.login_params == ("login_hint",)


def test_lp_03_several_applications_share_one_filter_which_forgets_one_that_is_gone(edge, loggers, caplog):
    """LP-03, RP-05"""
    with FakeXWMS() as fx:
        first = Site(edge, fx, redirect_uris="https://app.example/first")
        second = Site(edge, fx, redirect_uris="https://app.example/second")
        off = Site(edge, fx, redirect_uris="https://app.example/third", redact_access_logs=False)
        asked = [f"/{name}?token=abc" for name in ("first", "second", "third", "fourth")]
        assert lines_of(caplog, *asked) == [
            "/first?token=…",
            "/fourth?token=abc",
            "/second?token=…",
            "/third?token=abc",
        ]
        assert {len(logger.filters) for logger in loggers} == {1}
        del second
        gc.collect()
        assert lines_of(caplog, *asked[:2]) == ["/first?token=…", "/second?token=abc"]
        del first, off


def test_lp_03_the_filter_is_back_before_the_line_is_written(site, loggers, caplog):
    """LP-03: whatever was done to the loggers after the package was set up."""
    for logger in loggers:
        logger.filters = []
    site.browser().get(f"{CALLBACK}?token={TOKEN}")
    assert lines_of(caplog, f"{CALLBACK}?token={TOKEN}") == [f"{CALLBACK}?token=…"]
    assert {len(logger.filters) for logger in loggers} == {1}
