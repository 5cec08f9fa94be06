"""The cookies of pending logins at their limits: size, number, age and what is left out, without any I/O."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.login.test_accounts_by_hand import Shop
from tests.login.test_flow_steps import NOW, answer
from tests.login.visits import REFUSED, Visit, code, confirm, context_of, cookies_of, location
from tests.tools.site import FROM_ELSEWHERE, LOGIN, LOGOUT
from xwms_auth import User
from xwms_auth._core.accounts.linker import ProofNeeded
from xwms_auth._core.providers.pending_login import uri_digest

GOOD: dict[str, object] = {"id": "a-login-of-mine-", "proof": "p" * 43, "next": "/hello", "uri": ""}
GOOD |= {"started": NOW, "lasts": 600, "here": True}
FRESH = "a-token-that-sign-token-never-gave"
TOLERANCE, DAY = 60, 86_400
TAG = {"cookie_tag": "tencharsxx"}
"""With it the sizes of login cookies in a Cookie header are multiples of four: 40 bytes, and four for three of text."""


def size(jar: dict[str, str]) -> int:
    return sum(len(f"{name}={value}; ") for name, value in jar.items() if "_login_" in name)


def learned(**options: Any) -> Visit:
    """A browser at a site that starts logins of other sites without a click."""
    visit = Visit(**options)
    visit.log_in()
    visit.jar = {}
    return visit


def length_for(wanted: int, sent: Any = None, **options: Any) -> int:
    """How long a page's address is with which the cookie of a login takes that many bytes."""
    for length in range(wanted * 3 // 4 - 170, wanted * 3 // 4 - 110):
        visit = learned(**options)
        visit.start(f"next={'/'.ljust(length, 'a')}", sent)
        if size(visit.jar) == wanted:
            return length
    raise AssertionError("no such length")


def page(length: int) -> str:
    return "/".ljust(length, "a")


# --- sizes ---


def test_a_login_that_began_elsewhere_keeps_its_page_up_to_600_bytes():
    """SM-10"""
    longest = length_for(600, FROM_ELSEWHERE, **TAG)
    for more, kept in ((0, True), (3, False)):
        visit = learned(**TAG)
        token = visit.start(f"next={page(longest + more)}", FROM_ELSEWHERE)
        assert size(visit.jar) <= 600
        assert location(visit.come_back(token)) == (page(longest + more) if kept else "/")
        visit.jar = {}
        assert location(visit.come_back(visit.start(f"next={page(longest + more)}"))) == page(longest + more)


def test_all_logins_together_take_3000_bytes_of_a_cookie_header():
    """CK-10"""
    first = length_for(1500, **TAG)
    for more, number in ((0, 2), (3, 1)):
        visit = learned(**TAG)
        visit.start(f"next={page(first)}")
        (old,) = visit.names("login")
        visit.start(f"next={page(first + more)}")
        assert len(visit.names("login")) == number
        assert (old in visit.jar) is (number == 2)
        assert size(visit.jar) <= 3000


def test_ten_logins_may_be_pending_and_an_eleventh_pushes_out_the_first():
    visit = Visit()
    names: list[str] = []
    for _ in range(11):
        visit.start()
        names += [name for name in visit.names("login") if name not in names]
    assert visit.names("login") == names[1:]


@pytest.mark.parametrize(("key", "leads_to"), [("k" * 1000, "/"), ("k" * 3000, None)])
def test_an_account_with_a_long_key_costs_the_page_or_the_login(key, leads_to):
    visit = Visit(Shop(here=key))
    begun = visit.ask(LOGIN, f"next={page(1900)}", method="POST", link="1")
    if leads_to is None:
        assert code(begun) == (429, "too_many_logins")
        return
    assert begun.status == 302
    waiting = visit.come_back(visit.token)
    assert location(confirm(visit, waiting)) == leads_to


LONG = {"given_name": "Ada", "email": "ada@example.org", "email_verified": True}


@pytest.mark.parametrize(
    ("target", "claims", "kept", "lost"),
    [
        ("/hello", {"picture": "https://x.example/1"}, ("picture", "family_name"), ()),
        ("/hello", {"picture": f"https://x.example/{'p' * 500}"}, ("family_name",), ("picture",)),
        (page(450), {"family_name": "L" * 200}, ("family_name",), ("picture", "page")),
        (page(520), {"picture": f"https://x.example/{'p' * 200}"}, ("family_name",), ("picture", "page")),
        (page(450), {"family_name": "L" * 600}, ("given_name",), ("family_name", "page")),
        (page(450), {"given_name": "G" * 300, "name": "N" * 290}, ("name",), ("given_name", "page")),
    ],
)
def test_what_does_not_fit_beside_the_person_who_is_asked_is_left_out_in_an_order(target, claims, kept, lost):
    """The picture, then the page, then the other claims."""
    visit = Visit(callback_token="fresh", confirm_person=True, after_login="/home")
    visit.reply = answer(sub="17", **{"family_name": "Lovelace", "name": "Ada", **LONG, **claims})
    visit.start(f"next={target}")
    waiting = visit.come_back(FRESH)
    assert size(visit.jar) <= 1000
    done = confirm(visit, waiting)
    assert location(done) == ("/home" if "page" in lost else target)
    (session,) = visit.store.created
    assert session.user.identity == ("https://xwms.nl/api/", "17")
    for name in kept:
        assert getattr(session.user, name), name
    for name in lost:
        assert name == "page" or getattr(session.user, name) is None
    assert session.user.email_verified is (session.user.email is not None)


@pytest.mark.parametrize(("most", "links", "lengths"), [(1000, False, (115, 125)), (2400, True, (153, 163))])
def test_a_person_who_is_asked_takes_so_many_bytes_at_most(most, links, lengths):
    found, wanted = [], []
    for length in range(*lengths):
        key, sub = "k" * 900, "\U0001f600" * length
        more = {} if links else {"callback_token": "fresh", "confirm_person": True}
        visit = Visit(Shop(found=ProofNeeded(key=key)) if links else None, **TAG, **more)
        visit.reply = answer(sub=sub)
        token = visit.start()
        asked = visit.come_back(token if links else FRESH)
        login = [*GOOD.values(), None, User(issuer="https://xwms.nl/api/", sub=sub).claims(), *([key] if links else [])]
        sizes = []
        for login[2] in ("/hello", "/"):
            login[1], login[3] = "", "8 digits"
            plain = json.dumps(login, separators=(",", ":"), ensure_ascii=False).encode()
            sizes.append(40 + 4 * ((len(plain) + 39) // 3))
        wanted.append(sizes[0] if sizes[0] <= most else sizes[1])
        if asked.status != 303:
            assert code(asked) == (429, "too_many_logins")
        else:
            found.append(size(visit.jar))
    assert found == [one for one in wanted if one <= most]
    assert max(found) == most < max(wanted)


def test_a_login_that_waits_no_longer_takes_the_room_that_it_had_before():
    visit = Visit(callback_token="fresh", confirm_person=True)
    visit.start("next=/hello")
    visit.now += 1
    visit.start(f"next={page(1400)}")
    visit.reply = answer(sub="17", name="N" * 300)
    before = size(visit.jar)
    waiting = visit.come_back(FRESH)
    assert waiting.status == 303
    assert before > 2200
    assert size(visit.jar) < 1300
    assert len(visit.names("login")) == 2


def test_a_login_that_began_elsewhere_has_room_for_the_person_too():
    visit = learned()
    visit.start("next=/hello", FROM_ELSEWHERE)
    visit.reply = answer(sub="17", name="N" * 250, given_name="G" * 120)
    waiting = visit.come_back(FRESH)
    assert 600 < size(visit.jar) <= 1000
    assert confirm(visit, waiting).logged_in


# --- ages ---


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (TOLERANCE, None),
        (TOLERANCE + 1, (503, "clock_skew")),
        (DAY, (503, "clock_skew")),
        (DAY + 1, (400, "login_not_started")),
    ],
)
def test_a_login_of_a_clock_that_is_ahead_counts_for_a_minute_and_is_told_of_for_a_day(ahead, expected):
    visit = Visit()
    visit.now = NOW + ahead
    token = visit.start()
    visit.now = NOW
    done = visit.come_back(token)
    assert done.logged_in if expected is None else code(done) == expected


def test_a_login_of_a_clock_that_is_ahead_is_told_of_before_one_that_is_over():
    visit = Visit(callback_token="same")
    for seconds in (1000, 0):  # begun at two machines
        visit.now = NOW + seconds
        visit.start()
    visit.now = NOW + 700
    assert code(visit.come_back(FRESH)) == (503, "clock_skew")


def test_a_login_that_waits_takes_no_other_token_and_its_clock_may_be_a_minute_ahead():
    visit = Visit(callback_token="fresh", confirm_person=True)
    visit.now = NOW + TOLERANCE
    visit.start()
    waiting = visit.come_back(FRESH)
    visit.now = NOW
    assert code(visit.come_back(f"{FRESH}-2")) == (400, "login_not_started")
    assert confirm(visit, waiting).logged_in


@pytest.mark.parametrize(("earlier", "counts"), [(0, True), (1, False)])
def test_a_login_from_before_the_time_from_which_sessions_count_is_over(earlier, counts):
    then = 1_700_000_000
    visit = Visit(sessions_valid_after=datetime.fromtimestamp(then, UTC))
    visit.now = then - earlier
    token = visit.start()
    visit.now += 5
    done = visit.come_back(token)
    assert done.logged_in if counts else code(done) == (400, "login_expired")


@pytest.mark.parametrize(("later", "is_there"), [(179, True), (180, False)])
def test_a_person_has_three_minutes_to_say_yes(later, is_there):
    visit = Visit(callback_token="fresh", confirm_person=True)
    visit.start()
    waiting = visit.come_back(FRESH)
    visit.now += later
    done = confirm(visit, waiting)
    assert done.logged_in is is_there
    assert done.status == (303 if is_there else 302)


def test_the_cookie_of_a_login_lives_for_an_hour_so_that_a_late_one_is_told_so():
    visit = Visit()
    begun = visit.ask(LOGIN, "next=/hello")
    assert [line.partition("Max-Age=")[2].partition(";")[0] for line in begun.cookies] == ["3600"]
    visit.now += 700
    late = visit.come_back(visit.token)
    assert code(late) == (400, "login_expired")
    assert ["Max-Age=0" in line for line in late.deferrable] == [True]


def test_a_login_ends_with_its_token_and_each_browser_has_ten_minutes_otherwise():
    for lives, over_at in ((300, 300), (900, 600)):
        for later, counts in ((over_at - 1, True), (over_at, False)):
            visit = Visit()
            visit.ticket["expires_at"] = datetime.fromtimestamp(NOW + lives, UTC).isoformat()
            token = visit.start()
            visit.now += later
            assert visit.come_back(token).logged_in is counts


# --- what is claimed for a login ---


def test_a_login_and_its_pair_are_claimed_until_it_is_over_everywhere_and_its_token_for_an_hour():
    visit = Visit()
    token = visit.start()
    visit.now += 100
    visit.come_back(token)
    assert [visit.store.untils[kind] - NOW for kind in ("pair", "login", "token")] == [660, 660, 3700]
    other = Visit(callback_token="fresh")
    other.start()
    other.reply = REFUSED
    other.come_back(FRESH)
    assert other.store.untils["refused"] - NOW == 660
    waiting = Visit(callback_token="fresh", confirm_person=True)
    waiting.start()
    confirm(waiting, waiting.come_back(FRESH))
    assert waiting.store.untils["confirmation"] - NOW == 180 + TOLERANCE


@pytest.mark.parametrize("kind", ["pair", "login", "token"])
def test_a_claim_that_fails_gives_back_those_before_it(kind):
    """RP-04"""
    visit = Visit()
    token = visit.start()
    visit.store.notes.clear()
    visit.store.down = (f"claim {kind}",)
    assert code(visit.come_back(token)) == (503, "store_unavailable")
    claimed = ["pair", "login", "token"][: ["pair", "login", "token"].index(kind)]
    released = [note.partition(" ")[2] for note in visit.store.notes if note.startswith("release")]
    assert released == claimed[::-1]
    visit.store.down = ()
    assert visit.come_back(token).logged_in


# --- cookies that are none of ours ---


def test_a_logout_deletes_logins_by_names_that_are_ours_alone():
    visit = Visit()
    visit.log_in()
    prefix = visit.site.https_names.login
    good = f"{prefix}AAAA_-09"
    odd = [f"{prefix}AAAA_-0", f"{prefix}AAAA_-099", f"{prefix}AAAA+-09", prefix]
    visit.jar |= dict.fromkeys((good, *odd), "x")
    gone = visit.ask(LOGOUT, method="POST")
    assert gone.status == 303
    assert cookies_of(gone) == {visit.site.https_names.session: "", good: ""}
    assert all("Max-Age=0" in line for line in gone.cookies)


def test_a_login_keeps_the_language_of_its_pages():
    visit = Visit(callback_token="fresh", confirm_person=True, login_params=["ui_locales"])
    visit.start("next=/hello&ui_locales=nl")
    waiting = visit.come_back(FRESH)
    shown = visit.ask(LOGIN, location(waiting).partition("?")[2])
    assert re.search('<html[^>]* lang="nl"', shown.body)


def test_a_login_of_one_redirect_uri_is_none_at_another():
    """LC-10"""
    visit = Visit()
    token = visit.start()
    visit.site = context_of(redirect_uris="https://app.example/other")
    done = visit.ask("/other", f"token={token}", FROM_ELSEWHERE)
    assert code(done) == (400, "login_not_started")


ODD = [
    *({"id": odd} for odd in (None, 1, [])),
    *({"proof": odd} for odd in (None, 1)),
    *({"next": odd} for odd in (None, 1)),
    *({"uri": odd} for odd in (None, 1, "AAAAAAAA")),
    *({"started": odd} for odd in (None, "1", 1.5)),
    *({"lasts": odd} for odd in (None, "9", 1e300)),
    *({"here": odd} for odd in (None, 1, "")),
    *({"fresh": odd} for odd in ("30", 1.5, [])),
    *({"fresh": None, "person": odd} for odd in ({}, {"sub": 0}, {"sub": "17", "issuer": None}, {"issuer": "x"})),
    *({"fresh": None, "person": None, "account": odd} for odd in (1, [], {})),
    *({"fresh": None, "person": None, "account": None, "silent": odd} for odd in (1, "", "true")),
    *({"fresh": None, "person": None, "account": None, "silent": None, "language": odd} for odd in (1, [], True)),
    *(None, "", 1, [], [[]]),
]


def with_cookie(visit: Visit, value: object) -> Visit:
    """The browser has a login cookie that holds this, sealed by whoever has the key: an older version, or a thief."""
    visit.jar = {f"{visit.site.https_names.login}a-login-": visit.site.login_sealer.seal_text(value, place="a-login-")}
    return visit


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_cookie_whose_contents_are_of_another_kind_is_no_login(odd):
    """CK-13"""
    visit = Visit(callback_token="fresh")
    good = {**GOOD, "uri": uri_digest(visit.site.config.registered[0])}
    assert with_cookie(visit, list(good.values())).come_back(f"{FRESH}-good").logged_in
    value = list({**good, **odd}.values()) if isinstance(odd, dict) else odd
    refused = with_cookie(visit, value).come_back(FRESH)
    assert code(refused) in ((400, "login_not_started"), (400, "login_expired"))


def test_a_cookie_of_an_older_version_has_fewer_parts_and_one_of_a_newer_version_counts_for_nothing():
    visit = Visit(callback_token="fresh")
    good = [*{**GOOD, "uri": uri_digest(visit.site.config.registered[0])}.values()]
    for number, (value, counts) in enumerate(
        [
            (good, True),
            ([*good, 60], True),
            ([*good, None, None, None, None, "nl"], True),
            ([*good, None, None, None, None, "xx"], True),
            (good[:-1], False),
        ]
    ):
        value[0] = f"a-login-of-mine{number}"
        assert with_cookie(visit, value).come_back(f"{FRESH}-{number}").logged_in is counts, value
