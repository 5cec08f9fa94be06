"""What a store keeps, seen by somebody who can read all of it, or write to it.

Knows: what must not be found, and what an attacker would write.
Must not: know how a record is written.
"""

import base64
import json
from collections.abc import Callable

import pytest

from tests.stores.alone import run_alone
from tests.stores.conftest import OTHER_KEY, opened
from tests.stores.dumps import Place, PostgresPlace, RedisPlace, SQLitePlace
from tests.stores.questions import begin, sub_of
from tests.tools.session_pages import outside, with_pages
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, ME, PROGRAM, Browser, Site
from xwms_auth import XWMSSessions
from xwms_auth._core.base.models import EndReason
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import DAY, NOW, session

FOUND_IN_PEOPLE = {
    "sub": "sub-of-somebody-unmistakable",
    "name": "Zoë Unmistakable",
    "given_name": "Zoëgiven",
    "family_name": "Unmistakablefamily",
    "email": "zoe.unmistakable@example.org",
    "picture": "https://xwms.example/unmistakable.png",
}
KEPT_AT_MOST = 8 * 86_400  # seconds: a lifetime of seven days, and the day on which a person can still be told why


@pytest.fixture(params=["redis", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "postgres":
        return PostgresPlace(request.getfixturevalue("postgres"))
    if request.param == "sqlite":
        return SQLitePlace(request.getfixturevalue("sqlite_url"))
    request.getfixturevalue("redis_url")
    return RedisPlace(request.getfixturevalue("redis_of_the_run"))


@pytest.fixture
def edge(place: Place) -> str:
    """One for each place: what lies there is the store's doing alone."""
    return "flask" if isinstance(place, SQLitePlace) else "asgi"


@pytest.fixture
def site(make_site: Callable[..., Site], place: Place) -> Site:
    return make_site(session_store=place.url)


def disguises(text: str) -> set[bytes]:
    """The ways in which a text may lie there and still be read: plain, as JSON, hexadecimal, and in base64."""
    raw = text.encode()
    found = {raw, raw.lower(), text.encode("utf-16-le"), json.dumps(text).strip('"').encode(), raw.hex().encode()}
    for offset in range(3):
        # The characters at both ends depend on what stands beside the text.
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * offset + raw).rstrip(b"=")[4:-2])
    return found


def cookie_of(browser: Browser) -> str:
    return browser.cookies()[browser.site.session_cookie]


def status_with(site: Site, cookie: str) -> int:
    return site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={cookie}")]).status_code


def test_whoever_reads_all_of_a_store_learns_nobodys_name_and_no_cookie(place, site):
    """SL-02, LP-10"""
    browser = site.browser()
    person = dict(FOUND_IN_PEOPLE)
    token = site.fx.approve(browser.start("/hello?next=unmistakable"), sub=person.pop("sub"), **person)
    assert browser.come_back(token).status_code == 303
    site.clock.advance(3600)
    assert browser.get("/hello").text == "hello Zoë Unmistakable"  # and renewed
    hidden = [*FOUND_IN_PEOPLE.values(), cookie_of(browser), token, "unmistakable", "Unmistakable"]
    hidden += [key.reveal() for key in site.config.session_keys]
    dump = place.dump()
    assert len(dump) > 200
    for text in hidden:
        for disguise in disguises(text):
            assert disguise not in dump


def test_nothing_that_lies_in_a_store_is_worth_anything_as_a_cookie(place, site):
    """SL-02: a copy of the store, an id out of the list of sessions, or any part of either signs nobody in
    (CVE-2019-16782)."""
    browser = site.browser()
    browser.log_in()
    with XWMSSessions(site.config) as sessions:
        (listed,) = sessions.list("xwms-user-1234")
    found = {listed.id.encode(), *place.values(), *place.records().values()}
    assert len(found) > 5
    for value in found:
        for text in (value.decode("latin-1"), base64.urlsafe_b64encode(value).rstrip(b"=").decode(), value.hex()):
            safe = "".join(char for char in text if "!" <= char <= "~" and char not in '";,\\')
            assert status_with(site, safe) == 401
    assert browser.who() == "xwms-user-1234"


@pytest.mark.parametrize("edge", ["flask"])
def test_every_key_in_redis_has_an_end(redis_url, redis_of_the_run, make_site):
    """SL-16, DS-05"""
    place = RedisPlace(redis_of_the_run)
    for options in ({"session_store": redis_url}, {"revocation_store": redis_url}):
        site = make_site(**options)
        browsers = [site.browser() for _ in range(3)]
        for browser in browsers:
            browser.log_in()
        site.clock.advance(3600)
        for browser in browsers:
            assert browser.who()
        browsers[0].log_out()
        with XWMSSessions(site.config) as sessions:
            sessions.revoke_all("xwms-user-1234")
            site.browser().log_in("another")
            sessions.revoke_client()
    ttls = place.ttls()
    assert len(ttls) > 10
    # What is learned about XWMS is kept for longer, one key for each client.
    assert {key: ttl for key, ttl in ttls.items() if not 0 < ttl <= KEPT_AT_MOST and "learned" not in key} == {}
    assert all(ttl > 0 for ttl in ttls.values())


@pytest.mark.parametrize("edge", ["flask"])
def test_what_others_put_into_redis_keeps_nobody_from_ending_sessions(redis_url, redis_of_the_run, make_site):
    """SL-15: a name that is no text, in a list and among the keys; and a list that is none."""
    site = with_pages(make_site(session_store=redis_url))
    browser = site.browser()
    browser.log_in(sub="xwms-user-1234")
    client = redis_of_the_run.client
    (listed,) = client.keys("*listed*")
    (session,) = client.keys("*{*}")
    client.zadd(listed, {b"\xff\xfe": 4e9, b"not-a-key": 4e9, b"*": 4e9})
    client.set(session.partition(b"{")[0] + b"{\xff\xfe}", b"junk")
    (one,) = outside(site, lambda sessions: sessions.list("xwms-user-1234"))
    assert not one.is_current
    outside(site, lambda sessions: sessions.revoke_all("xwms-user-1234"))
    assert browser.who() is None
    browser.log_in(sub="xwms-user-1234")
    outside(site, lambda sessions: sessions.revoke_client())
    assert browser.who() is None


@pytest.mark.parametrize("edge", ["flask"])
def test_a_list_in_redis_forgets_what_is_over(redis_url, redis_of_the_run, make_site):
    """SL-16: somebody who logs in every day, a monitor perhaps, has no list without end."""
    site = make_site(session_store=redis_url)
    for _ in range(30):
        site.browser().log_in(sub="xwms-user-1234")
        site.clock.advance(86_400)
    (listed,) = redis_of_the_run.client.keys("*listed*")
    assert redis_of_the_run.client.zcard(listed) <= 3


def test_visitors_and_logins_that_are_never_finished_leave_nothing(place, site):
    """SL-17, DS-05"""
    for number in range(120):
        path = ("/", "/hello", "/who", "/private", ME, "/nowhere")[number % 6]
        site.raw(path, headers=PROGRAM.items())
        site.raw(path, headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={number:043}")])
    for number in range(40):
        site.browser().start("/hello")
        site.clock.advance(1)
        browser = site.browser()
        browser.get(CALLBACK, FROM_ELSEWHERE, params={"token": f"{number:043}"})
        browser.log_out()
    # Of each start, for an hour, the hash of the token that was issued for it.
    assert len(place.entries()) <= 40
    assert [name for name in place.entries() if "issued/" not in name] == []
    site.browser().log_in()
    assert place.records() != {}


def test_after_a_logout_there_is_nothing_left_of_the_person(place, site):
    """LP-10, SL-04: all that stays for a moment is that the login was used."""
    browser = site.browser()
    browser.log_in()
    assert len(place.records()) == 1
    browser.log_out()
    assert place.records() == {}
    assert [name for name in place.entries() if "claim" not in name] == []


def test_after_a_session_was_ended_from_elsewhere_only_the_reason_is_left(place, site):
    """LP-10"""
    browser = site.browser()
    browser.log_in()
    assert len(place.records()) == 1
    with XWMSSessions(site.config) as sessions:
        sessions.revoke_all("xwms-user-1234")
    assert place.records() == {}
    (left,) = [value for key, value in place.entries().items() if "claim" not in key]
    assert b"session_revoked" in left
    assert len(left) < 250
    assert browser.get("/who", PROGRAM).json()["reason"] == "session_revoked"


def test_a_record_that_was_copied_over_another_opens_as_nobody(place, site):
    """SL-12: somebody who can write to the store puts another person's record under the name of their own cookie."""
    victim, attacker = site.browser(), site.browser()
    victim.log_in("victim")
    (theirs,) = place.records()
    attacker.log_in("attacker")
    (own,) = place.records().keys() - {theirs}
    kept = place.records()
    place.write(own, kept[theirs])
    assert attacker.who() is None
    assert victim.who() == "victim"
    place.write(own, kept[own])
    assert attacker.who() == "attacker"


FORGED = {
    "nothing": b"",
    "short": b"x" * 11,
    "nonce": b"\0" * 12,
    "zeros": b"\0" * 300,
    "JSON": json.dumps({"i": "x", "t": 1, "a": 1, "s": "attacker"}).encode(),
    "text": "attacker",
    "a number": 7,
    "a list": ["attacker"],
    "large": b"A" * 1_000_000,
}


def test_a_forged_record_opens_as_nobody(place, site):
    """SL-12"""
    for what, forged in FORGED.items():
        browser = site.browser()
        browser.log_in()
        (name,) = place.records()
        place.write(name, forged)
        assert browser.who() is None, what
        assert browser.get("/hello").text == "hello nobody", what
        assert browser.log_out().status_code == 303, what
        browser.log_in()
        assert browser.who() == "xwms-user-1234", what
        browser.log_out()


def test_a_record_of_our_own_form_under_another_secret_opens_as_nobody(place, site):
    """SL-12"""
    browser, other = site.browser(), site.restarted(session_secret=OTHER_KEY, session_store=place.url).browser()
    browser.log_in("somebody")
    (name,) = place.records()
    other.log_in("attacker")
    (forged,) = place.records().keys() - {name}
    place.write(name, place.records()[forged])
    assert browser.who() is None


def test_a_secret_that_was_added_lets_everybody_stay_and_one_that_was_removed_tells_them_why(place, site):
    """SL-12"""
    (old,) = (key.reveal() for key in site.config.session_keys)
    browser = site.browser()
    browser.log_in()
    headers = [*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={cookie_of(browser)}")]
    both = site.restarted(session_secret=[OTHER_KEY, old], session_store=place.url)
    assert both.raw("/who", headers=headers).text == "xwms-user-1234"
    both.browser().log_in("newcomer")
    only_new = site.restarted(session_secret=OTHER_KEY, session_store=place.url)
    refused = only_new.raw("/who", headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (401, "session_key_rotated")
    assert only_new.raw(ME, headers=headers).json() == {
        "user": None,
        "login_url": "/xwms/auth",
        "signed_out": "session_key_rotated",
    }
    with XWMSSessions(only_new.config) as sessions:
        assert len(sessions.list("newcomer")) == 1
        assert sessions.list("xwms-user-1234") == ()
    assert both.raw("/who", headers=headers).text == "xwms-user-1234"


class TestClientsThatShareAStore(StoreHarness):
    """Two applications, or one at two XWMS, over one Redis or one file, with one secret."""

    OTHERS = [{"client_id": "other"}, {"api_url": "https://elsewhere.example/api/"}]

    @pytest.mark.parametrize("other", OTHERS, ids=["another client", "another XWMS"])
    def test_they_never_see_each_others_sessions_or_ends(self, place, other):
        """SL-12, SL-08"""
        ours = self.opened(opened(session_store=place.url))
        theirs = self.opened(opened(session_store=place.url, **other))
        handle = begin(self, ours)
        (listed,) = ours.list(session().user.identity, now=NOW)
        assert theirs.load(handle, now=NOW) is None
        assert theirs.renew(handle, session(), until=NOW + DAY, now=NOW) is None
        assert list(theirs.list(session().user.identity, now=NOW)) == []
        assert theirs.revoke(listed.id, now=NOW) is False
        theirs.revoke_all(session().user.identity, now=NOW)
        theirs.revoke_client(now=NOW)
        theirs.drop(handle, why=EndReason.WITHDRAWN, now=NOW)
        theirs.drop(handle, why=None, now=NOW)
        assert sub_of(self, ours, handle) == "1001"

    @pytest.mark.parametrize("other", OTHERS, ids=["another client", "another XWMS"])
    def test_they_never_see_each_others_used_logins_or_revocations(self, place, other):
        """SL-12, RP-11"""
        ours = self.opened(opened(session_store=place.url))
        theirs = self.opened(opened(session_store=place.url, **other))
        assert ours.claim("login", until=NOW + DAY, now=NOW)
        assert theirs.claim("login", until=NOW + DAY, now=NOW)
        theirs.release("login")
        assert not ours.claim("login", until=NOW + DAY, now=NOW)
        theirs.forbid("client", upto=NOW, until=NOW + DAY, now=NOW)
        assert list(ours.not_before(["client"], now=NOW)) == [0]
        assert list(theirs.not_before(["client"], now=NOW)) == [NOW]

    def test_a_cookie_of_one_application_is_nothing_in_the_other(self, edge, make_fx, place):
        """SL-12"""
        ours = Site(edge, make_fx(), session_store=place.url)
        tag = ours.config.cookie_tag
        theirs = Site(edge, ours.fx, session_store=place.url, client_id="other", cookie_tag=tag)
        browser = ours.browser()
        browser.log_in()
        assert status_with(ours, cookie_of(browser)) == 200
        assert status_with(theirs, cookie_of(browser)) == 401
        assert status_with(ours, cookie_of(browser)) == 200


def test_twenty_thousand_handles_are_all_different_after_a_fork_too():
    """SL-01"""
    code = """
    import os
    from tests.stores.conftest import opened
    from xwms_auth.testing.store_contract import DAY, NOW, session

    store, one = opened(session_store="memory://"), session()

    def handles(count):
        return [store.create(one, until=NOW + DAY, now=NOW) for _ in range(count)]

    all_of_them, pipes = handles(10_000), []
    for _ in range(4):
        reader, writer = os.pipe()
        if os.fork() == 0:
            with os.fdopen(writer, "w") as out:
                out.write(" ".join(handles(2_500)))
            os._exit(0)
        os.close(writer)
        pipes.append(reader)
    for reader in pipes:
        with os.fdopen(reader) as made:
            all_of_them += made.read().split()
    print(len(all_of_them), len(set(all_of_them)), min(map(len, all_of_them)))
    """
    assert run_alone(code).split() == ["20000", "20000", "43"]
