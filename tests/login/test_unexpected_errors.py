"""An error that is not ours is a page of ours, and the log says where it was raised: on both edges."""

import logging

import pytest

from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, PROGRAM
from xwms_auth.stores.memory import MemoryStore

QUOTED = "a-token-that-the-message-quotes"


class BrokenStore(MemoryStore):
    """A store of an application's own. What is named in `broken` raises `error`."""

    broken: frozenset[str] = frozenset()
    error: BaseException = LookupError(QUOTED)

    def _break(self, method: str) -> None:
        if method in self.broken:
            raise self.error

    def claim(self, name, *, until, now):
        self._break("claim")
        return super().claim(name, until=until, now=now)

    def load(self, handle, *, now):
        self._break("load")
        return super().load(handle, now=now)

    def recall(self, handle, *, now):
        self._break("recall")
        return super().recall(handle, now=now)


@pytest.fixture
def store():
    return BrokenStore()


@pytest.fixture
def browser(make_site, store):
    return make_site(session_store=store).browser()


@pytest.mark.parametrize("path", [LOGIN, CALLBACK])
def test_in_a_route_of_ours_it_is_a_page_with_a_code(browser, store, path, caplog):
    token = browser.site.fx.approve(browser.start())
    store.broken = frozenset(("claim",))
    with caplog.at_level(logging.ERROR, "xwms_auth"):
        answer = browser.get(path, FROM_ELSEWHERE if path == CALLBACK else FROM_HERE, params={"token": token})
    assert answer.status_code == 500
    assert "internal_error" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "LookupError" in caplog.text
    assert "in _break" in caplog.text
    assert QUOTED not in caplog.text + answer.text
    assert token not in caplog.text + answer.text


@pytest.mark.parametrize("method", ["recall", "load"])
def test_where_the_session_is_looked_up_only_pages_that_read_it_fail(browser, store, method, caplog):
    browser.log_in()
    if method == "load":
        browser.site.clock.advance(3600)  # a renewal is due, so the store is asked
    store.broken = frozenset((method,))
    assert browser.get("/").text == "home"
    answer = browser.get("/who", PROGRAM)
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "LookupError" in caplog.text
    store.broken = frozenset()
    assert browser.who() == "xwms-user-1234"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()], ids=["exit", "interrupt"])
def test_what_ends_a_process_is_not_answered(browser, store, error):
    token = browser.site.fx.approve(browser.start())
    store.broken, store.error = frozenset(("claim",)), error
    cookie = ("Cookie", browser.pending())
    with pytest.raises(type(error)):
        browser.site.raw(CALLBACK, query=f"token={token}", headers=[cookie, *FROM_ELSEWHERE.items()])


def test_of_an_error_with_many_causes_the_first_few_are_told(browser, store, caplog):
    error: BaseException = LookupError("0")
    for number in range(1, 20):
        cause, error = error, LookupError(str(number))
        error.__cause__ = cause
    token = browser.site.fx.approve(browser.start())
    store.broken, store.error = frozenset(("claim",)), error
    assert browser.come_back(token).status_code == 500
    (line,) = [record.message for record in caplog.records if record.message.startswith("refused")]
    assert line.count("because of LookupError") == 4


def test_a_log_that_shows_errors_only_has_no_line_of_a_refusal(browser, store, caplog):
    caplog.set_level(logging.ERROR, "xwms_auth")
    assert browser.come_back("a-token-of-nobody").status_code == 400
    assert "refused" not in caplog.text
    token = browser.site.fx.approve(browser.start())
    store.broken = frozenset(("claim",))
    assert browser.come_back(token).status_code == 500
    assert "refused code=internal_error" in caplog.text


@pytest.mark.parametrize("edge", ["flask"])
def test_a_store_whose_answer_has_to_be_awaited_is_an_error_where_nobody_awaits(browser, store, monkeypatch, caplog):
    """Its methods do not look async, so no setting could refuse it."""

    class Later:
        def __await__(self):
            yield

    token = browser.site.fx.approve(browser.start())
    monkeypatch.setattr(store, "claim", lambda name, *, until, now: Later())
    assert browser.come_back(token).status_code == 500
    assert "TypeError at " in caplog.text
    assert browser.who() is None
