"""Sealed values: one form, whatever process made them and whatever key is the newest."""

import base64
import os
import pickle
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stores.alone import run_alone
from xwms_auth import Secret
from xwms_auth._core.base.crypto import sealing
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


def test_what_seals_is_not_pickled():
    with pytest.raises(TypeError, match="holds keys"):
        pickle.dumps(sealed())
