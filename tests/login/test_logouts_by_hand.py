"""The logout, decision by decision, without any I/O: who may post it, and what it takes along."""

import logging
import re

import pytest

from tests.login.test_accounts_by_hand import Shop
from tests.login.visits import Visit, code, cookies_of, location
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, LOGOUT, ME, PROGRAM
from xwms_auth._core.accounts.hooks import LoggedOut
from xwms_auth._core.accounts.linker import Linked
from xwms_auth._core.http.messages import MAX_HEADERS

FRONT = "https://front.example"


def test_a_logout_ends_the_session_and_takes_all_cookies_along(caplog):
    shop = Shop(found=Linked(key="1"))
    visit = Visit(shop, after_logout="/bye")
    visit.log_in()
    shop.told.clear()
    kept = dict(visit.jar)
    visit.now += 60
    for _ in range(3):
        visit.start("next=/hello&fresh=30")
    with caplog.at_level(logging.INFO):
        done = visit.ask(LOGOUT, method="POST")
    assert (done.status, location(done), visit.jar) == (303, "/bye", {})
    assert "logged_out" in caplog.text
    assert [type(event) for event in shop.told] == [LoggedOut]
    visit.jar = kept
    assert '"user": null' in visit.ask(ME).body
    again = visit.ask(LOGOUT, "next=/elsewhere", method="POST")
    assert (again.status, location(again)) == (303, "/elsewhere")
    assert dict(again.header_list(reserved=MAX_HEADERS))["Location"] == "/bye"
    assert len(shop.told) == 1


def test_a_logout_takes_ten_logins_along_whatever_room_there_is():
    visit = Visit()
    visit.log_in()
    for number in range(12):
        visit.jar[f"{visit.site.https_names.login}AAAAAA{number:02}"] = "x"
    done = visit.ask(LOGOUT, method="POST")
    assert len(done.cookies) == 11
    assert len(done.deferrable) == 2


def form_token(visit, **sent):
    """What a form of the application's own has in it."""
    visit.ask(ME, "", {**PROGRAM, **sent})
    return visit.site.form_signer.dumps(visit.store.loaded.id)


FORM_TOKEN = [
    ({}, "own", 303),
    ({}, "none", 403),
    ({}, "wrong", 403),
    ({"Origin": "null"}, "own", 303),
    ({"Origin": "https://app.example"}, "none", 303),
    ({"Origin": "https://evil.example"}, "own", 403),
    ({"Sec-Fetch-Site": "cross-site"}, "own", 403),
    ({"Sec-Fetch-Site": "same-site"}, "own", 403),
    ({"Sec-Fetch-Site": "same-origin"}, "none", 303),
    ({"Sec-Fetch-Site": "none"}, "own", 303),
    ({"Sec-Fetch-Site": "none"}, "none", 403),
]


@pytest.mark.parametrize(("sent", "token", "status"), FORM_TOKEN)
def test_a_logout_is_posted_by_a_form_of_this_site_which_its_token_may_show(sent, token, status):
    """LO-02, LO-03"""
    visit = Visit()
    visit.log_in()
    form: dict[str, dict[str, str]] = {"own": {"xwms_csrf_token": form_token(visit)}, "none": {}}
    form["wrong"] = {"xwms_csrf_token": visit.site.form_signer.dumps("another session")}
    done = visit.ask(LOGOUT, "", {"Accept": "text/html", **sent}, method="POST", **form[token])
    assert done.status == status
    assert visit.is_in() is (status == 403)
    if status == 403:
        assert code(done) == (403, "cross_site")
        assert cookies_of(done) == {}
        assert "xwms_csrf_token" not in done.body


@pytest.mark.parametrize(("origin", "status"), [("https://two.example", 303), ("https://three.example", 403)])
def test_a_form_at_another_host_of_the_site_is_shown_by_its_token(origin, status):
    visit = Visit(redirect_uris=("https://app.example/xwms/validateToken", "https://two.example/xwms/validateToken"))
    here = {"Host": "app.example"}
    visit.come_back(visit.start("", {**FROM_HERE, **here}), {**FROM_ELSEWHERE, **here})
    sent = {"Accept": "text/html", "Origin": origin, **here}
    token = form_token(visit, **here)
    assert visit.ask(LOGOUT, "", sent, method="POST", xwms_csrf_token=token).status == status


@pytest.mark.parametrize("is_in", [True, False])
def test_through_a_worker_the_person_is_asked_whether_to_log_out(is_in):
    """SM-08"""
    visit = Visit()
    if is_in:
        visit.log_in()
    posted = {**FROM_HERE, "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "cross-site"}
    done = visit.ask(LOGOUT, "", posted, method="POST")
    assert code(done) == (403, "cross_site")
    found = re.findall('name="xwms_csrf_token" value="([^"]+)"', done.body)
    assert len(found) == is_in
    if is_in:
        own = visit.ask(LOGOUT, "", {"Accept": "text/html"}, method="POST", xwms_csrf_token=found[0])
        assert own.status == 303


@pytest.mark.parametrize(("kind", "is_own"), [("load", True), ("drop", True), ("load", False)])
def test_a_store_that_is_down_takes_the_cookies_of_ones_own_logout_and_says_so(kind, is_own):
    """LO-06"""
    visit = Visit()
    visit.log_in()
    visit.store.down = (kind,)
    done = visit.ask(LOGOUT, "", FROM_HERE if is_own else FROM_ELSEWHERE, method="POST")
    assert code(done) == (503, "store_unavailable")
    assert visit.is_in() is not is_own


def test_a_store_that_is_down_after_the_forms_token_was_good_takes_the_cookies_too():
    visit = Visit()
    visit.log_in()
    token = form_token(visit)
    visit.store.down = ("drop",)
    done = visit.ask(LOGOUT, "", {"Accept": "text/html"}, method="POST", xwms_csrf_token=token)
    assert code(done) == (503, "store_unavailable")
    assert not visit.is_in()


def test_a_page_of_a_trusted_origin_may_log_out():
    visit = Visit(trusted_origins=[FRONT])
    visit.log_in()
    done = visit.ask(LOGOUT, "", {**PROGRAM, "Origin": FRONT, "Sec-Fetch-Site": "cross-site"}, method="POST")
    assert done.status == 303
    assert visit.jar == {}
