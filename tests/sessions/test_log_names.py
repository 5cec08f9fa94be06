"""A person's name in the log: the same for the same person everywhere, and for nobody else to work out."""

import base64
import hashlib
import re

import pytest

from tests.tools.session_pages import outside, with_pages
from xwms_auth import XWMSSessions

KEYS = ("first-session-secret-of-thirty-two-bytes", "second-session-secret-of-thirty-two-byte")
SUB = "1001"


def logged(site, caplog, sub: str = SUB) -> str:
    """The name in the log of a person who logs in and out."""
    caplog.set_level("INFO", logger="xwms_auth")
    caplog.clear()
    browser = site.browser()
    browser.log_in(sub)
    browser.log_out()
    names = {name for line in caplog.messages for name in re.findall(r"person=([\w-]+)", line)}
    assert len(names) == 1
    return names.pop()


def test_a_name_is_the_same_after_a_restart_and_in_every_process_and_store(make_site, where, caplog):
    site = make_site(session_secret=KEYS[0])
    name = logged(site, caplog)
    assert re.fullmatch(r"[A-Za-z0-9_-]{12}", name)
    assert logged(site.restarted(session_secret=KEYS[0]), caplog) == name
    assert logged(site.restarted(session_secret=KEYS[0], **where("sqlite")), caplog) == name
    assert logged(site, caplog, sub="1002") != name


def test_a_search_finds_each_name_as_the_application_tells_it(make_site, caplog):
    """Whatever a name begins with: it is never between quotes."""
    with XWMSSessions(make_site(session_secret=KEYS[0]).config) as sessions:
        subs = {sessions.log_name(sub)[0].isalpha(): sub for sub in map(str, range(1000, 1100))}
    assert subs.keys() == {True, False}
    site = make_site(session_secret=KEYS[0])
    for sub in subs.values():
        name = logged(site, caplog, sub=sub)
        assert f"person={name} " in caplog.text


def test_without_the_session_secret_a_name_cannot_be_worked_out(make_site, caplog):
    name = logged(make_site(session_secret=KEYS[0]), caplog)
    issuer = make_site().config.issuer
    for text in (f"{issuer}\n{SUB}", f"{issuer}{SUB}", SUB):
        hashed = hashlib.sha256(text.encode())
        assert name not in hashed.hexdigest()
        assert not base64.urlsafe_b64encode(hashed.digest()).decode().startswith(name)


def test_the_first_secret_names_people_and_a_kept_one_still_tells_their_old_names(make_site, caplog):
    site = make_site(session_secret=KEYS[0])
    before = logged(site, caplog)
    rotated = site.restarted(session_secret=(KEYS[1], KEYS[0]))
    after = logged(rotated, caplog)
    assert after != before
    assert logged(site.restarted(session_secret=KEYS[1]), caplog) == after
    with XWMSSessions(rotated.config) as now, XWMSSessions(site.config) as earlier:
        assert (now.log_name(SUB), earlier.log_name(SUB)) == (after, before)


@pytest.mark.parametrize("edge", ["flask", "asgi"])
def test_an_application_can_find_a_person_in_its_log(make_site, caplog):
    site = with_pages(make_site())
    assert logged(site, caplog) == outside(site, lambda sessions: sessions.log_name(SUB))
