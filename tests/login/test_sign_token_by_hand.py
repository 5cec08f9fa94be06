"""XWMS's own protocol, decision by decision, without any I/O: XWMS and the store are played by hand."""

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.login.test_flow_steps import NOW, answer
from tests.login.visits import ADA, DOWN, REFUSED, NotingStore, Visit, code, context_of, location
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN
from xwms_auth import Timeout, User
from xwms_auth._core.base.crypto.digests import digest
from xwms_auth._core.base.effects import Runtime, run
from xwms_auth._core.base.session import Session
from xwms_auth._core.login.select import provider_of

FRESH = "a-token-that-sign-token-never-gave"
HOUR, WEEK, TOLERANCE = 3600, 7 * 86_400, 60
YEARS = 10 * 365 * 86_400
MODES = pytest.mark.parametrize("mode", ["same", "either", "fresh"])


def visits(number: int = 2, *, store: Any = None, **options: Any) -> list[Visit]:
    """Browsers at one process."""
    first = Visit(store=store, **options)
    others = [Visit(store=first.store) for _ in range(number - 1)]
    for at, other in enumerate(others, 1):
        other.site, other.issued = first.site, 1000 * at
    return [first, *others]


# --- the start ---


@pytest.mark.parametrize(
    ("lives", "remembered"),
    [
        (None, HOUR),
        (60, HOUR),
        (HOUR, HOUR + TOLERANCE),
        (2 * HOUR, 2 * HOUR + TOLERANCE),
        (WEEK, WEEK),
        (9 * WEEK, WEEK),
    ],
)
def test_an_issued_token_is_remembered_until_it_ends_for_an_hour_at_least_and_a_week_at_most(lives, remembered):
    """SM-25"""
    visit = Visit()
    if lives is not None:
        visit.ticket["expires_at"] = datetime.fromtimestamp(NOW + lives, UTC).isoformat()
    visit.start()
    assert visit.store.untils["issued"] == NOW + remembered


@pytest.mark.parametrize(
    ("options", "sources"),
    [
        ({}, "https://xwms.nl https://*.xwms.nl"),
        ({"api_url": "https://xwms.example:8443/api/"}, "https://xwms.example:8443 https://*.xwms.example:8443"),
        (
            {"login_origins": ["https://login.xwms.nl", "https://two.example"]},
            "https://login.xwms.nl https://two.example",
        ),
        (
            {"api_url": "http://localhost:9000/api/", "redirect_uris": "http://localhost:5000/xwms/validateToken"},
            "http://localhost:* https://localhost:*",
        ),
    ],
)
def test_the_page_that_asks_for_a_click_may_lead_to_where_people_sign_in(options, sources):
    """Browsers apply form-action to the redirect behind a form too."""
    visit = Visit(**options)
    page = visit.ask(LOGIN, "next=/hello", FROM_ELSEWHERE)
    assert page.status == 200
    (policy,) = re.findall("form-action ([^;]*)", dict(page.headers)["Content-Security-Policy"])
    assert policy == f"'self' {sources} {visit.site.config.registered[0].origin}"


@pytest.mark.parametrize(("mode", "status"), [("same", 302), ("either", 200), ("fresh", 200)])
def test_a_click_is_needed_where_a_token_does_not_show_its_login(mode, status):
    """LC-04"""
    visit = Visit(callback_token=mode)
    assert visit.ask(LOGIN, "", FROM_ELSEWHERE).status == status
    if mode == "either":
        visit.log_in()
        visit.jar = {}
        assert visit.ask(LOGIN, "", FROM_ELSEWHERE).status == 302


# --- the callback's token ---


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("", "token_missing"),
        ("tokens=a-good-token-of-xwms", "token_missing"),
        ("token=", "token_malformed"),
        ("token=short", "token_malformed"),
        ("token=a-good-token-of-xwms&token=a-good-token-of-xwms", "token_malformed"),
        ("token=a-good-token-of-xwms&token=a-good-token-of-another", "token_malformed"),
    ],
)
def test_a_callback_has_exactly_one_token_of_a_plausible_form(query, refusal):
    """RP-07, RP-08"""
    visit = Visit()
    visit.start()
    kept = dict(visit.jar)
    refused = visit.ask(CALLBACK, query)
    assert code(refused) == (400, refusal)
    assert ("several" in refused.error.cause) is (query.count("token=") > 1)
    assert (visit.spent, visit.jar) == ([], kept)


def test_a_fresh_token_goes_to_ones_own_newest_login_before_those_that_began_elsewhere():
    visit = Visit()
    visit.log_in()  # learned: no click is needed from now on
    visit.jar = {}
    for here, page in ((True, "/first"), (True, "/second"), (False, "/third")):
        visit.now += 1
        visit.start(f"next={page}", None if here else FROM_ELSEWHERE)
    pages = [location(visit.come_back(f"{FRESH}-{number}")) for number in range(3)]
    assert [re.findall("next=(/[a-z]*)", page)[0] for page in pages] == ["/second", "/first", "/third"]


@MODES
def test_a_login_takes_its_own_token_and_a_fresh_one_as_the_setting_says(mode, caplog):
    with caplog.at_level(logging.INFO):
        visit = Visit(callback_token=mode)
        own = visit.come_back(visit.start())
        fresh = Visit(callback_token=mode)
        fresh.start()
        other = fresh.come_back(FRESH)
    assert own.logged_in is (mode != "fresh")
    assert other.logged_in is (mode != "same")
    seen = re.findall(r"login_finished.*callback=(\w+)", caplog.text)
    assert seen == {"same": ["same"], "either": ["same", "fresh"], "fresh": ["fresh"]}[mode]


@MODES
def test_where_tokens_are_fresh_signtokens_own_ends_its_login_and_is_not_sent(mode):
    """SF-02"""
    visit = Visit(callback_token=mode)
    done = visit.come_back(visit.start())
    assert visit.names("login") == []
    assert visit.spent == ([] if mode == "fresh" else [visit.token])
    assert done.status == (401 if mode == "fresh" else 303)


# --- what is remembered ---


def test_what_xwms_has_confirmed_is_remembered_for_an_hour_and_what_it_sends_for_good():
    visit = Visit()
    visit.log_in()
    assert visit.store.untils["confirmed"] == NOW + HOUR
    assert visit.store.untils["learned"] == NOW + YEARS
    visit.store.notes.clear()
    visit.jar = {}
    visit.log_in()
    assert "claimed learned" not in visit.store.notes, "and is asked for once"
    assert "claim learned" not in visit.store.notes


@pytest.mark.parametrize("mode", ["same", "fresh"])
def test_nothing_is_learned_where_the_setting_says_it(mode):
    visit = Visit(callback_token=mode)
    token = visit.start()
    visit.come_back(FRESH if mode == "fresh" else token)
    assert not [note for note in visit.store.notes if "learned" in note]


@pytest.mark.parametrize("kind", ["claim confirmed", "claim learned"])
def test_a_login_goes_on_if_the_store_cannot_remember_it(kind, caplog):
    visit = Visit()
    token = visit.start()
    visit.store.down = (kind,)
    with caplog.at_level(logging.INFO):
        assert visit.come_back(token).logged_in
    assert "not_remembered" in caplog.text


class SimpleStore(NotingStore):
    """A store that cannot tell which names are claimed, as one of the application's own need not."""

    claimed: Any = None


def test_with_a_store_that_can_only_claim_tokens_are_told_apart_and_nothing_is_learned():
    """SF-01: what was asked by claiming is given back."""
    visit, other = visits(store=SimpleStore())
    foreign = other.start()
    visit.start()
    assert code(visit.come_back(foreign)) == (401, "token_rejected")
    assert visit.spent == [foreign]
    assert not other.come_back(foreign).logged_in
    for _ in range(2):
        visit.jar = {}
        assert visit.log_in().logged_in, "a name that was only asked for is free"
    visit.jar = {}
    assert visit.ask(LOGIN, "", FROM_ELSEWHERE).status == 302, "this process knows"
    visit.site = context_of()
    assert visit.ask(LOGIN, "", FROM_ELSEWHERE).status == 200, "and no other one"
    assert visit.store.untils["learned"] == NOW + YEARS


def test_a_question_by_claiming_is_given_back_at_once():
    visit = Visit(store=SimpleStore())
    visit.come_back(FRESH)
    asked = [note for note in visit.store.notes if note.endswith((" issued", " confirmed"))]
    assert asked[:4] == ["claim issued", "release issued", "claim confirmed", "release confirmed"]
    assert visit.store.untils["issued"] == NOW + 1
    visit.start()
    visit.store.notes.clear()
    Visit(store=visit.store).come_back(visit.token)
    assert "claim issued" in visit.store.notes
    assert "release issued" not in visit.store.notes, "which another one has claimed"


# --- tokens of others ---


@pytest.mark.parametrize("reply", [ADA, REFUSED, DOWN])
def test_a_foreign_token_is_dead_while_the_store_is_down_and_the_answer_says_so(reply):
    """SM-24"""
    visit, attacker = visits()
    token = attacker.start()
    visit.reply = reply
    visit.store.down = ("claimed issued",)
    assert code(visit.come_back(token)) == (503, "store_unavailable")
    assert visit.spent == [token]
    visit.store.down = ()
    assert not attacker.come_back(token).logged_in


@pytest.mark.parametrize(("later", "is_dead"), [(HOUR - 1, True), (HOUR, False)])
@pytest.mark.parametrize("reply", [REFUSED, DOWN])
def test_a_foreign_token_is_dead_for_an_hour(later, is_dead, reply):
    """After that nobody has a login any more that it could be of. Whether XWMS could be asked makes no difference."""
    visit = Visit()
    visit.reply = reply
    assert code(visit.come_back(FRESH)) == (400, "login_not_started")
    visit.reply = ADA
    visit.now += later
    visit.site.state.unspent_tokens.pop_oldest(now=visit.now)
    visit.now -= 1
    visit.start()
    visit.now += 1
    assert visit.come_back(FRESH).logged_in is not is_dead


def test_a_foreign_token_that_was_issued_is_known_in_every_process_for_an_hour():
    visit, attacker = visits()
    token = attacker.start()
    visit.reply = REFUSED
    visit.come_back(token)
    assert visit.store.untils["foreign"] == NOW + HOUR
    attacker.site = context_of()
    assert not attacker.come_back(token).logged_in


def test_junk_takes_no_space_in_the_store():
    visit = Visit()
    visit.reply = REFUSED
    visit.come_back(FRESH)
    assert not [note for note in visit.store.notes if note.startswith("claim ") and "issued" not in note]


def test_a_token_that_xwms_has_confirmed_is_not_sent_again():
    visit, other = visits()
    token = other.start()
    other.come_back(token)
    assert code(visit.come_back(token)) == (400, "login_not_started")
    assert visit.spent == []
    third = Visit(store=visit.store)
    spent_before = third.start()
    for _ in range(2):
        visit.come_back(spent_before)
    assert visit.spent == [spent_before]


def test_what_waits_to_be_spent_is_spent_three_at_a_time_when_xwms_answers_again(caplog):
    """SM-12"""
    visit, *others = visits(9)
    tokens = [other.start() for other in others]
    for reply, token in zip([DOWN, Timeout("late")] * 4, tokens, strict=True):
        visit.reply = reply
        visit.come_back(token)
    visit.spent.clear()
    visit.reply = DOWN
    visit.start()
    assert visit.spent == tokens[:1], "and not a second one while XWMS is down"
    visit.spent.clear()
    visit.reply = REFUSED
    with caplog.at_level(logging.INFO):
        visit.start()
    assert visit.spent == tokens[1:4]
    assert "token_not_spent" in caplog.text
    visit.spent.clear()
    visit.jar = {}
    visit.reply = ADA
    with caplog.at_level(logging.INFO):
        visit.come_back(FRESH)
    assert visit.spent == [FRESH, *tokens[4:7]]
    assert "token_spent" in caplog.text


def test_a_token_that_cannot_be_spent_now_asks_for_no_others():
    visit, one, two = visits(3)
    tokens = [one.start(), two.start()]
    visit.reply = DOWN
    for token in tokens:
        visit.spent.clear()
        visit.come_back(token)
        assert visit.spent == [token]


def test_a_token_that_waits_and_is_answered_when_it_comes_again_waits_no_longer():
    visit, other = visits()
    token = other.start()
    for reply in (DOWN, REFUSED):
        visit.reply = reply
        visit.come_back(token)
    visit.spent.clear()
    visit.start()
    assert visit.spent == []


def test_a_token_that_waits_is_dead_although_a_flood_of_others_has_pushed_its_name_out():
    """SM-12"""
    visit = Visit()
    visit.reply = DOWN
    visit.come_back(FRESH)
    visit.start()
    visit.site.state.foreign_tokens.remove(digest(FRESH))
    visit.reply = ADA
    assert not visit.come_back(FRESH).logged_in


def test_what_one_process_has_learned_every_other_one_learns_from_the_store():
    visit = Visit()
    visit.log_in()
    other = Visit(store=visit.store)
    assert other.ask(LOGIN, "", FROM_ELSEWHERE).status == 302
    assert Visit().ask(LOGIN, "", FROM_ELSEWHERE).status == 200


def test_a_token_over_the_rate_limit_is_not_spent_and_the_log_says_so(caplog):
    """DS-02"""
    visit = Visit()
    visit.reply = REFUSED
    with caplog.at_level(logging.INFO):
        for number in range(6):
            visit.come_back(f"{FRESH}-{number}")
    assert len(visit.spent) == 5
    assert "token_not_spent cause='rate limit'" in caplog.text
    visit.start()
    visit.reply = ADA
    assert not visit.come_back(f"{FRESH}-5").logged_in, "but it is dead here"


# --- the confirmation of a session ---


def test_a_session_is_confirmed_with_the_claims_that_xwms_has_now():
    site = context_of()
    session = Session(id="1", user=User(issuer=site.config.issuer, sub="17", name="Ada"), started_at=NOW, seen_at=NOW)
    asked: list[Any] = []

    class XWMS:
        def send(self, call: Any) -> Any:
            asked.append(call)
            return answer(sub="17", name="Augusta")

    steps = provider_of(site).revalidate(site, session, now=NOW + 60)
    confirmed = run(steps, Runtime(XWMS(), NotingStore()))  # type: ignore[arg-type]
    assert confirmed == replace(session, user=replace(session.user, name="Augusta"), checked_at=NOW + 60)
    assert [call.path for call in asked] == ["get/user/info"]
    assert b"socials" not in asked[0].body
