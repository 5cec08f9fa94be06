"""Sealed values: one form, whatever process made them and whatever key is the newest."""

import base64
import copy
import gc
import os
import pickle
import sys
import traceback
import tracemalloc
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stores.alone import run_alone
from xwms_auth import Secret
from xwms_auth._core.base.crypto import sealing
from xwms_auth._core.base.crypto.digests import MAX_SIGNED_TEXT
from xwms_auth._core.base.crypto.sealing import MAX_SUBKEYS, Sealed

KEY = Secret("K3y-for-tests-0123456789-abcdefghij")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)


def sealed(*keys: Secret, purpose: str = "session", audience: str = "client@issuer") -> Sealed:
    return Sealed(keys or (KEY,), purpose=purpose, audience=audience)


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text)


@given(VALUES, st.sampled_from(["", "a-place", "é"]))
def test_what_is_sealed_opens_in_another_process_and_nowhere_else(value, place):
    text = sealed().seal_text(value, place=place)
    assert sealed().open_text(text, place=place) == value
    assert sealed().open(raw(text), place=place) == value
    for other in (sealed(purpose="login"), sealed(audience="other@issuer"), sealed(Secret("another-key" * 4))):
        assert other.open_text(text, place=place) is None
    assert sealed().open_text(text, place=place + "x") is None


@given(VALUES)
def test_a_text_has_one_spelling(value):
    text = sealed().seal_text(value)
    assert base64.urlsafe_b64encode(raw(text)).decode() == text  # no padding, and so no spare bits
    assert len(text) % 4 == 0
    assert set(text).isdisjoint("+/=.;, ")
    standard = text.replace("-", "+").replace("_", "/")
    for other in (standard, f"{text}=", f"{text}====", f"{text}\n", f" {text}", f"{text[:8]} {text[8:]}", f"{text}é"):
        if other != text:
            assert sealed().open_text(other) is None


def test_no_two_values_have_one_nonce_and_each_process_has_a_subkey_of_its_own():
    one, other = sealed(), sealed()
    heads = [raw(of.seal_text("the same"))[3:21] for of in (one, other) for _ in range(500)]
    assert len({head[:12] for head in heads}) == 1000
    assert len({head[12:] for head in heads[:500]}) == 1
    assert len({head[12:] for head in heads}) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_that_forks_gives_none_of_its_subkeys_to_the_others():
    """A server that loads the application first forks workers for years, and each counts for itself."""
    code = """
    import os
    from xwms_auth import Secret
    from xwms_auth._core.base.crypto.sealing import Sealed

    sealed = Sealed([Secret("K3y-for-tests-0123456789-abcdefghij")], purpose="session", audience="client@issuer")
    values = [sealed.seal("a value"), sealed.seal("a value")]
    for _ in range(3):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, sealed.seal("a value"))
            os._exit(0)
        values.append(os.read(reading, 1000))
        os.wait()
    values.append(sealed.seal("a value"))
    assert [sealed.open(value) for value in values] == ["a value"] * 6
    print(len({value[15:21] for value in values}))
    """
    assert run_alone(code).strip() == "4"


def test_a_process_that_finds_itself_to_be_another_begins_a_subkey_of_its_own(monkeypatch):
    """As above, where no process has to be forked to see it."""
    one, other_process = sealed(), os.getpid() + 1
    before = [raw(one.seal_text("a value"))[15:21] for _ in range(2)]
    monkeypatch.setattr(os, "getpid", lambda: other_process)
    after = [raw(one.seal_text("a value"))[15:21] for _ in range(2)]
    assert (len(set(before)), len(set(after)), len({*before, *after})) == (1, 1, 2)


def test_a_subkey_seals_no_more_than_it_may(monkeypatch):
    monkeypatch.setattr(sealing, "MAX_PER_SUBKEY", 3)
    one = sealed()
    texts = [one.seal_text(number) for number in range(10)]
    assert [len({raw(text)[15:21] for text in texts[start : start + 3]}) for start in (0, 3, 6)] == [1, 1, 1]
    assert len({raw(text)[15:21] for text in texts}) == 4
    assert [one.open_text(text) for text in texts] == list(range(10))


def test_more_processes_than_subkeys_are_kept_are_all_read():
    reader = sealed()
    texts = [sealed().seal_text(number) for number in range(MAX_SUBKEYS + 50)]
    for _ in range(2):
        assert [reader.open_text(text) for text in texts] == list(range(MAX_SUBKEYS + 50))


def test_two_secrets_with_one_key_id_both_open():
    """The key id has two bytes, so two secrets may share it: it is a hint and decides nothing."""
    seen: dict[str, Secret] = {}
    for number in count():
        key = Secret(f"K3y-for-tests-number-{number}-abcdefghij")
        start = sealed(key).seal_text(0)[:4]
        if start in seen:
            break
        seen[start] = key
    first, second = seen[start], key
    for keys in ((first, second), (second, first)):
        both = sealed(*keys)
        assert [both.open_text(sealed(one).seal_text(7)) for one in keys] == [7, 7]
        assert sealed(keys[0]).open_text(both.seal_text(7)) == 7, "the first one seals"
    assert sealed(first).open_text(sealed(second).seal_text(7)) is None


def test_a_removed_key_is_told_from_a_changed_character():
    text, now = sealed().seal_text(["a value"]), sealed(Secret("another-key-" * 4))
    assert now.is_of_other_key(text)
    assert not sealed().is_of_other_key(text)
    for place in range(4, len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert sealed().open_text(changed) is None
        assert not sealed().is_of_other_key(changed)
    for junk in ("", "A", "AQ", "A" * 43, "AQ" + "A" * 49, text[:-1], f"{text}.", text + "A" * 8192):
        assert not now.is_of_other_key(junk)


def test_nothing_is_sealed_without_a_key():
    with pytest.raises(ValueError, match="at least one key"):
        Sealed((), purpose="session", audience="client@issuer")


SEALED_BEFORE = {
    "": "ASJmFqknqs-pEb6p9DqNY7UuB5wsGBZB1toKm1eSFTFkLp2ynGesK_UHGc79onjEvZ257T3QlMya",
    "a-place": "ASJmU3Fld_FUZBGVE3G4Y7UuB5wsmtn1JrHwdvXuGTRZ7OwoAAsXxB2SFPMluZxnlwh3b3b-7i2j",
}


@pytest.mark.parametrize("place", SEALED_BEFORE)
def test_what_was_sealed_once_is_opened_for_ever(place):
    """Cookies and records of the first version are out there."""
    assert sealed().open_text(SEALED_BEFORE[place], place=place) == {"a": [1, "é", None]}
    assert sealed(Secret("newer-key" * 4), KEY).open_text(SEALED_BEFORE[place], place=place) == {"a": [1, "é", None]}


def test_a_value_that_was_cut_or_is_of_another_version_is_none():
    value = sealed().seal("a value")
    opened_once = sealed()
    assert opened_once.open(value) == "a value"
    for of in (sealed(), opened_once):
        assert [of.open(value[:length]) for length in range(len(value))] == [None] * len(value)
        assert of.open(b"\x02" + value[1:]) is of.open(b"\x00" + value[1:]) is of.open(value + b"\x00") is None
        assert of.open(value) == "a value"


def test_a_text_is_opened_up_to_the_longest_that_is_ever_sealed():
    fits, too_long = (sealed().seal_text("x" * (6105 + more)) for more in (0, 3))
    assert (len(fits), len(too_long)) == (MAX_SIGNED_TEXT, MAX_SIGNED_TEXT + 4)
    assert sealed().open_text(fits) == "x" * 6105
    assert sealed().open_text(too_long) is None
    other = sealed(Secret("another-key-" * 4))
    assert (other.is_of_other_key(fits), other.is_of_other_key(too_long)) == (True, False)


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_that_could_be_written_here_but_is_too_deep_to_be_read_there_is_none():
    """Whoever calls with little of the stack left gets no error that a deep value has made."""
    for depth in range(sys.getrecursionlimit(), 0, -20):
        try:
            value = sealed().seal(nested(depth))
        except ValueError:
            continue
        break

    def open_below(frames: int) -> object:
        return sealed().open(value) if frames == 0 else open_below(frames - 1)

    assert isinstance(open_below(0), list)
    assert isinstance(open_below(200), list | None)


def test_keys_are_neither_pickled_nor_copied():
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds keys"):
            act(sealed())


@pytest.mark.parametrize("seal", [Sealed.seal, Sealed.seal_text])
def test_a_value_that_cannot_be_sealed_is_in_no_local_variable_that_a_crash_report_shows(seal):
    with pytest.raises(ValueError, match="cannot be written") as caught:
        seal(sealed(), {"token": "a-token-of-somebody", "number": float("nan")})
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    names = [frame.f_code.co_name for frame in frames]
    shown = [repr(frame.f_locals) for frame in frames if frame.f_code.co_filename == sealing.__file__]
    assert seal.__name__ in names
    assert "a-token-of-somebody" not in "".join(shown)


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1, 2}, object(), b"bytes"])
def test_what_could_not_be_read_back_is_not_sealed(value):
    with pytest.raises(ValueError, match="cannot be written"):
        sealed().seal(value)
    with pytest.raises(ValueError, match="cannot be written"):
        sealed().seal_text(value)


def test_the_subkeys_of_other_processes_take_no_more_than_their_bound(monkeypatch):
    """Denial of service: also of this client's own values, of which a thief may have many."""
    monkeypatch.setattr(sealing, "MAX_SUBKEYS", 10)
    values = [sealed().seal(number) for number in range(600)]
    reader = sealed()
    assert reader.open(values[0]) == 0
    gc.collect()
    tracemalloc.start()
    try:
        assert [reader.open(value) for value in values] == list(range(600))
        assert tracemalloc.get_traced_memory()[0] < 30_000
    finally:
        tracemalloc.stop()
