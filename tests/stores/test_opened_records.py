"""Records that a process has read before: not opened twice, each bound to its key, and within a bound in bytes."""

from dataclasses import replace

import pytest

from tests.stores.conftest import OTHER_KEY, site_with
from xwms_auth._core.base.models import EndReason
from xwms_auth.stores import records
from xwms_auth.stores.records import Records, ending_of, is_key, login_of
from xwms_auth.testing.store_contract import person, session, tokens

KEY = "k" * 43


def opened(**options):
    site = site_with(**options)
    return Records(site.record_sealer, issuer=site.config.issuer)


def test_a_record_that_has_not_changed_is_opened_once():
    of_a_client = opened()
    sealed = of_a_client.write(session(), key=KEY)
    first = of_a_client.read(sealed, key=KEY)
    assert first.id == KEY
    assert of_a_client.read(bytes(bytearray(sealed)), key=KEY) is first
    changed = of_a_client.write(session("1002"), key=KEY)
    assert of_a_client.read(changed, key=KEY).user.sub == "1002"
    assert of_a_client.read(sealed, key=KEY).user.sub == "1001"


@pytest.mark.parametrize("value", [None, "text", 7, b"", b"no record of ours", bytearray(b"AQ")])
def test_what_is_no_record_counts_as_one_of_a_key_that_was_taken_away(value):
    assert opened().read(value, key=KEY) is EndReason.KEY_ROTATED


def test_a_record_is_read_for_its_own_key_and_with_a_key_that_is_there():
    sealed = opened().write(session(), key=KEY)
    assert opened().read(sealed, key=KEY).user == session().user
    assert opened().read(sealed, key="x" * 43) is EndReason.KEY_ROTATED
    assert opened(session_secret=OTHER_KEY).read(sealed, key=KEY) is EndReason.KEY_ROTATED


@pytest.mark.parametrize(("count", "is_kept"), [(2, True), (199, True), (200, False)])
def test_the_records_that_a_process_keeps_opened_have_a_bound_in_bytes(monkeypatch, count, is_kept):
    """A hundred of them are half of it here."""
    of_a_client = opened()
    sealed = {f"{number:03}": of_a_client.write(session(), key=f"{number:03}") for number in range(count)}
    (length,) = {len(one) for one in sealed.values()}
    monkeypatch.setattr(records, "MAX_OPENED_BYTES", 2 * 100 * (records.ENTRY_BYTES + length))
    reader = opened()
    first = reader.read(sealed["000"], key="000")
    for key, record in list(sealed.items())[1:]:
        reader.read(record, key=key)
    assert (reader.read(sealed["000"], key="000") is first) is is_kept


@pytest.mark.parametrize("code", ["session_idle", "session_lifetime", "session_revoked", "access_withdrawn"])
def test_an_ending_is_read_by_its_code(code):
    assert ending_of(code) is EndReason(code)


@pytest.mark.parametrize("code", ["", "SESSION_IDLE", "a_code_of_a_newer_version", "session_idle "])
def test_an_ending_of_a_newer_version_is_an_ending(code):
    assert ending_of(code) is EndReason.REVOKED


@pytest.mark.parametrize("text", ["A" * 43, "aZ09_-" + "x" * 37])
def test_a_key_has_43_characters_of_base64(text):
    assert is_key(text) is True


@pytest.mark.parametrize("text", ["", "A" * 42, "A" * 44, "A" * 42 + "\n", "A" * 43 + "\n", "A" * 42 + "*", "é" * 43])
def test_nothing_else_becomes_a_part_of_a_key(text):
    assert is_key(text) is False


def test_a_login_at_the_server_is_named_by_issuer_and_sid_if_it_has_one():
    def named(sid, issuer="https://xwms.example/api/"):
        return login_of(replace(session(), user=person(issuer=issuer), tokens=replace(tokens(0), sid=sid)))

    assert login_of(session()) is named(None) is None
    assert named("a") == named("a") != named("b")
    assert named("a") != named("a", "https://other.example/")
