"""JSON from outside: each value has the documented form, to the last character, or it is refused or left out."""

import json
import time
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from xwms_auth._core.base.strict_json import (
    MAX_CLAIM,
    MAX_MOMENT,
    MAX_SCOPE,
    JSONObject,
    is_moment,
    is_scope,
    parse_granted,
    parse_id,
    parse_json_object,
    parse_moment,
    parse_object,
    parse_objects,
    parse_sub,
    plain_link,
    plain_text,
)


@pytest.mark.parametrize("value", ["1", "a", "x" * 255, "xwms-user-1", " a", "a b", "0", "01", "é", "ключ", "😀"])
def test_an_id_that_is_text_stays_as_it_is(value):
    assert parse_sub(value) == parse_id(value, "id") == value


@pytest.mark.parametrize("value", [1, 7, 10**254, 10**255 - 1])
def test_an_id_that_is_a_number_becomes_its_digits(value):
    assert parse_sub(value) == str(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0, "out of range"),
        (-1, "out of range"),
        (10**255, "out of range"),
        (2**1020, "out of range"),
        pytest.param(10**5000, "out of range", id="of 5001 digits"),
        (True, "is bool"),
        (1.0, "is float"),
        (None, "is NoneType"),
        (b"1", "is bytes"),
        (["1"], "is list"),
        ("", "empty"),
        (" ", "empty"),
        ("\u3000", "empty"),
        ("x" * 256, "too long"),
        ("a\n", "not printable"),
        ("a\x00", "not printable"),
        ("\ud800", "not printable"),
        ("\u202e", "not printable"),
        ("\xa0", "not printable"),
    ],
)
def test_what_is_no_id_is_refused_with_its_name(value, reason):
    with pytest.raises(ValueError, match=f"^account .*{reason}"):
        parse_id(value, "account")
    with pytest.raises(ValueError, match=r"^sub "):
        parse_sub(value)


@pytest.mark.parametrize("scope", ["a", "!", "#", "[", "]", "~", "https://api/read", "a:b,c"])
def test_a_scope_is_visible_ascii(scope):
    assert is_scope(scope) is True
    assert parse_granted(scope) == parse_granted([scope]) == (scope,)


@pytest.mark.parametrize("scope", ["", " ", "a b", 'a"', "a\\", "\x7f", "é", "a\n", "a\t"])
def test_nothing_else_is_a_scope(scope):
    assert is_scope(scope) is False
    with pytest.raises(ValueError, match="scope"):
        parse_granted([scope])


@pytest.mark.parametrize("scope", [None, 7, b"a", ["a"]])
def test_what_is_no_text_is_no_scope(scope):
    assert is_scope(scope) is False


FULL = "x" * (MAX_SCOPE - 2)


@pytest.mark.parametrize(
    ("value", "scopes"),
    [
        ("", ()),
        (" ", ()),
        ("a b", ("a", "b")),
        (" a  b ", ("a", "b")),
        ([], ()),
        (["a", "b"], ("a", "b")),
        (f"a {FULL}", ("a", FULL)),
        (["a", FULL], ("a", FULL)),
    ],
)
def test_granted_scopes_are_separated_by_spaces_or_in_a_list(value, scopes):
    assert parse_granted(value) == scopes


@pytest.mark.parametrize(
    "value", [None, 7, {}, ("a",), "a\tb", "a\nb", "a\u00a0b", ["a b"], ["a", 7], f"aa {FULL}", ["aa", FULL], [""]]
)
def test_what_is_no_list_of_scopes_is_refused(value):
    with pytest.raises(ValueError, match="neither text nor a list"):
        parse_granted(value)


@pytest.mark.parametrize("text", ["a", " ", "é", "\x7e", "\xa0", "\ud7ff", "\ue000", "a\u202eb", "😀", "x" * MAX_CLAIM])
def test_a_claim_is_text_of_a_certain_length(text):
    assert plain_text(text) == plain_text(text, lines=True) == text


@pytest.mark.parametrize(
    "value",
    ["", "x" * (MAX_CLAIM + 1), "\x00", "a\x1f", "\x7f", "\x80", "\x9f", "\ud800", "a\udfff", None, 7, b"a", ["a"]],
)
def test_nothing_else_is_a_claim(value):
    assert plain_text(value) is plain_text(value, lines=True) is None


@pytest.mark.parametrize("char", "\t\n\r")
def test_a_text_of_several_lines_may_have_line_breaks_where_that_is_asked_for(char):
    assert plain_text(f"a{char}b", lines=True) == f"a{char}b"
    assert plain_text(f"a{char}b") is None


def test_the_length_of_a_text_may_be_another():
    assert plain_text("abc", most=3) == "abc"
    assert plain_text("abcd", most=3) is None


@pytest.mark.parametrize("value", ["https://a", "http://a/b?c#d", "HTTPS://a", "hTTp://a"])
def test_a_link_is_http(value):
    assert plain_link(value) == value


@pytest.mark.parametrize(
    "value",
    ["javascript:alert(1)", "https:/a", "http:a", "//a", "/a", "ftp://a", " https://a", "https://a\n", "", None, 7],
)
def test_no_other_link_gets_onto_a_page(value):
    assert plain_link(value) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28T14:30:00Z", (2026, 11, 28, 14, 30)),
        ("2026-11-28T14:30:00", (2026, 11, 28, 14, 30)),
        ("2026-11-28 14:30:00+02:00", (2026, 11, 28, 12, 30)),
        ("2026-11-28", (2026, 11, 28)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "XYZ-5"])
def test_a_moment_is_in_utc_whatever_the_zone_of_the_machine(monkeypatch, zone, text, moment):
    with monkeypatch.context() as machine:
        machine.setenv("TZ", zone)
        time.tzset()
        found = parse_moment(text)
    time.tzset()
    assert found == datetime(*moment, tzinfo=UTC)
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    ["", "now", "2026-13-01", None, 7, 1e9, b"2026-11-28", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:00-14:00"],
)
def test_what_is_no_moment_is_none(value):
    assert parse_moment(value) is None


@pytest.mark.parametrize("value", [0, 1, -1, 1.5, MAX_MOMENT, -MAX_MOMENT])
def test_a_numeric_date_is_a_number_that_a_date_can_be_made_of(value):
    assert is_moment(value) is True
    assert datetime.fromtimestamp(abs(value), UTC)


@pytest.mark.parametrize(
    "value",
    [
        MAX_MOMENT + 1,
        -MAX_MOMENT - 1,
        10**400,
        -(10**400),
        float("inf"),
        float("-inf"),
        float("nan"),
        True,
        "1",
        None,
        [1],
    ],
)
def test_no_other_number_is_a_numeric_date(value):
    assert is_moment(value) is False


def test_an_object_is_a_mapping():
    for value in ({}, {"a": 1}, MappingProxyType({}), JSONObject(a=1)):
        assert parse_object(value) is value
    for value in (None, [], "a", 7, [("a", 1)]):
        assert parse_object(value) is None


def test_a_list_of_objects_has_so_many_at_most_and_nothing_else_in_it():
    assert parse_objects([], "keys", most=0) == []
    assert parse_objects([{}, {"a": 1}], "keys", most=2) == [{}, {"a": 1}]
    for value in ([{}, {}, {}], None, {}, "ab", ({},)):
        with pytest.raises(ValueError, match=r"^keys is not a list, or has more than 2 entries"):
            parse_objects(value, "keys", most=2)
    for value in ([7], [{}, None], [[]]):
        with pytest.raises(ValueError, match=r"^keys has an entry that is not an object"):
            parse_objects(value, "keys", most=2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b' {"a": 1} ', {"a": 1}),
        (b'{"a": {"b": [{"c": null}]}}', {"a": {"b": [{"c": None}]}}),
        ('{"é": "é"}'.encode(), {"é": "é"}),
        (b'{"a": 1.5e300}', {"a": 1.5e300}),
        (b'{"a": -0.0}', {"a": 0.0}),
    ],
)
def test_an_object_is_read(text, value):
    found = parse_json_object(text)
    assert found == value
    assert isinstance(found, JSONObject)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"null",
            b"[]",
            b'"a"',
            b"7",
            b"{",
            b"{} {}",
            b"{'a': 1}",
            b'{"a": 1,}',
            b"\xff\xfe{\x00}\x00",
            b"\xef\xbb\xbf{}",
        ),
        *(b'{"a": 1, "a": 1}', b'{"a": 1, "\\u0061": 2}', b'{"b": {"a": 1, "a": 2}}', b'{"b": [{"a": 1, "a": 2}]}'),
        *(b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e400}', b'{"a": -1e400}', b'{"a": "\xe9"}'),
        *('{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-32"), b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
)
def test_what_is_no_strict_json_object_is_none(text):
    assert parse_json_object(text) is None


def test_an_object_shows_nothing_of_its_content():
    found = parse_json_object(json.dumps({"secret": "hidden", "b": {"c": "hidden"}}).encode())
    assert found is not None
    assert repr(found) == "<2 fields>"
    assert repr(found["b"]) == "<1 fields>"
