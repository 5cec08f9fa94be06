"""An update signs nobody out: what each earlier version has left behind is read, in each store.

Versions before the first release are not here. See docs/versions.md for what may change, and tests/stores/formats.py.
"""

import json
from pathlib import Path

import pytest

from tests.stores.formats import FOLDER, OPTIONS, PERSON, STORES, put_back, site_with
from tests.tools.faults import envelope
from tests.tools.site import FROM_ELSEWHERE

VERSIONS = sorted(file.stem for file in FOLDER.glob("*.json"))


def test_there_is_a_record_of_a_version():
    assert VERSIONS


@pytest.fixture(params=STORES)
def store(request) -> str:
    return request.param


@pytest.fixture(params=VERSIONS)
def recorded(request, store):
    return json.loads((FOLDER / f"{request.param}.json").read_text(encoding="utf-8"))[store]


@pytest.fixture
def site(recorded, store, fx, tmp_path: Path, redis_of_the_run):
    redis_of_the_run.client.flushall()
    put_back(store, recorded["kept"], tmp_path, redis_of_the_run)
    with site_with(store, fx, tmp_path, redis_of_the_run) as site:
        site.clock.now = recorded["now"] + 60
        yield site


def test_whoever_was_signed_in_still_is(site, recorded):
    browser = site.browser()
    browser.carry("=".join(recorded["session"]))
    assert browser.who() == PERSON["sub"]
    assert browser.get("/hello").text == f"hello {PERSON['name']}"


def test_whoever_was_signed_in_can_still_log_out(site, recorded):
    browser = site.browser()
    browser.carry("=".join(recorded["session"]))
    assert browser.log_out().status_code == 303
    copy = site.browser()
    copy.carry("=".join(recorded["session"]))
    assert copy.who() is None


def test_a_login_that_was_at_xwms_meanwhile_is_finished(site, fx, recorded):
    fx.answer("sign-token-verify", envelope({"sub": "1001"}))
    browser = site.browser()
    browser.carry("=".join(recorded["waiting"]))
    answer = browser.come_back(recorded["token"], FROM_ELSEWHERE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/hello")
    assert browser.who() == "1001"


def test_what_is_recorded_is_read_with_its_own_secret_only(
    fx, recorded, store, tmp_path, redis_of_the_run, monkeypatch
):
    monkeypatch.setitem(OPTIONS, "session_secret", "another-session-secret-of-forty-characters")
    put_back(store, recorded["kept"], tmp_path, redis_of_the_run)
    with site_with(store, fx, tmp_path, redis_of_the_run) as site:
        site.clock.now = recorded["now"] + 60
        browser = site.browser()
        browser.carry("=".join(recorded["session"]))
        assert browser.who() is None
