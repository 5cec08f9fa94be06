"""Signed values: read by whoever has the key, the purpose and the audience, in the one spelling that was given out."""

import pickle
import traceback

import pytest

from xwms_auth import Secret
from xwms_auth._core.base.crypto.signing import MAX_SIGNED_TEXT, Signed

KEYS = [Secret("0123456789abcdefghijklmnopqrstuv"), Secret("vutsrqponmlkjihgfedcba9876543210")]


def signed(*keys: Secret, purpose: str = "logout-form", audience: str = "id@xwms") -> Signed:
    return Signed(keys or KEYS[:1], purpose=purpose, audience=audience)


@pytest.mark.parametrize("value", ["", "text", "caf\u00e9", 7, None, True, ["a", 1], {"a": [None]}])
def test_a_value_comes_back_with_any_of_the_keys_and_with_nothing_else(value):
    text = signed().dumps(value)
    assert signed().loads(text) == value
    assert signed(KEYS[1], KEYS[0]).loads(text) == value
    assert signed(KEYS[0], KEYS[1]).dumps(value) == text
    for other in (signed(KEYS[1]), signed(purpose="other"), signed(audience="other@xwms")):
        assert other.loads(text) is None


def test_no_other_spelling_and_no_other_text_is_read():
    text = signed().dumps("value")
    payload, _, signature = text.rpartition(".")
    last = chr(ord(signature[-1]) + 1)
    for other in (
        *(text + more for more in ("=", "A", " ", "\n", ".")),
        *(
            f"{payload}.{wrong}"
            for wrong in ("", "!" + signature, signature[:-1] + last, signature[:9] + "!" + signature[9:])
        ),
        *(
            payload,
            signature,
            f".{signature}",
            "",
            ".",
            "a.b",
            "\u00e9",
            "\ud800.a",
            f"\ud800.{signature}",
            f"{payload}x.{signature}",
        ),
    ):
        assert signed().loads(other) is None, other


def test_a_text_is_read_up_to_its_limit():
    room = MAX_SIGNED_TEXT - len(signed().dumps(""))
    lengths = [len(signed().dumps("x" * size)) for size in range(room // 4 * 3 - 8, room // 4 * 3 + 8)]
    assert min(lengths) <= MAX_SIGNED_TEXT < max(lengths)
    for size in range(room // 4 * 3 - 8, room // 4 * 3 + 8):
        text = signed().dumps("x" * size)
        assert (signed().loads(text) is not None) is (len(text) <= MAX_SIGNED_TEXT), len(text)


def test_nothing_is_signed_without_a_key_or_outside_unicode_and_no_key_is_pickled():
    with pytest.raises(ValueError, match="at least one key"):
        Signed([], purpose="p", audience="a")
    with pytest.raises(ValueError, match="cannot be written") as error:
        signed().dumps("private \ud800")
    shown = [repr(frame.f_locals) for frame, _ in traceback.walk_tb(error.tb) if frame.f_code.co_filename != __file__]
    assert shown
    assert "private" not in "".join(shown), "a crash report with local variables would show it"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(signed())
