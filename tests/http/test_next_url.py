"""The `next` rule, judged by what it emits: OR-01, OR-02, OR-04, OR-06, OR-07, OR-13, LO-05."""

import re
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

import pytest
from corpus.next_targets import C0_AND_DEL, DOUBTFUL, GOOD, HOSTILE, MAX_CHARACTERS, OWN_PATHS, layers
from hypothesis import given, settings
from hypothesis import strategies as st

from xwms_auth._core.http.next_url import safe_next

ORIGIN = "https://app.example.com"
LOCATION = re.compile(r"/(?![/\\])[\x21-\x7e]*")

# Short pieces that make up every known trick; their combinations are what nobody thought of.
PIECES = st.sampled_from(
    [
        *(
            "/",
            "//",
            "\\",
            "%2f",
            "%252f",
            "%5c",
            ".",
            "..",
            "%2e",
            "%2E%2e",
            "?",
            "#",
            "@",
            ":",
            ";",
            "&",
            "=",
            "%",
            "%25",
        ),
        *("\t", "\r\n", "\x00", "\x85", "%00", "%09", "%0d%0a", " ", "\u00a0", "\u3000", "\u200b", "\ufeff", "%c2%85"),
        *(
            "\ud800",
            "\udfff",
            "\uff0f",
            "\uff0e",
            "\u3002",
            "\u2024",
            "\u00e9",
            "%ff",
            "%c0%af",
            "[",
            "]",
            "<",
            '"',
            "'",
        ),
        *("http:", "https://", "javascript:", "evil.example", "a", "xwms", "auth", "/xwms/auth", "%78wms"),
    ]
)


def taken(values: Iterable[str]) -> list[str]:
    """Those of the values that the rule takes, without characters that a terminal obeys."""
    return [ascii(value)[:80] for value in values if safe_next(value, own_paths=OWN_PATHS) is not None]


def where_a_browser_goes(location: str) -> str:
    """Scheme and host a browser resolves a Location to, by the WHATWG rules that differ from RFC 3986."""
    seen = location.translate({ord("\t"): None, ord("\n"): None, ord("\r"): None}).strip("".join(C0_AND_DEL) + " ")
    parts = urlsplit(urljoin(ORIGIN + "/xwms/validateToken", seen.replace("\\", "/")))
    return f"{parts.scheme}://{parts.netloc}"


def assert_stays_here(location: str) -> None:
    assert LOCATION.fullmatch(location), ascii(location)
    assert where_a_browser_goes(location) == ORIGIN
    path = location.partition("#")[0].partition("?")[0]
    assert path not in OWN_PATHS


def test_the_corpus_is_large_enough_and_says_nothing_twice() -> None:
    values = [value for family in HOSTILE.values() for value in family]
    honest = [value for value, _ in GOOD]
    assert len(set(values)) == len(values) >= 220
    assert len(set(honest)) == len(honest) >= 40
    assert not set(values) & {*honest, *DOUBTFUL}


@pytest.mark.parametrize("family", HOSTILE)
def test_or_01_a_hostile_next_is_refused(family: str) -> None:
    assert taken(HOSTILE[family]) == []


def test_an_honest_next_becomes_exactly_its_location() -> None:
    for value, location in GOOD:
        assert safe_next(value, own_paths=OWN_PATHS) == location, ascii(value)
        assert_stays_here(location)


def test_or_01_or_04_a_doubtful_next_is_refused_or_stays_on_this_origin_and_unchanged_from_then_on() -> None:
    for value in DOUBTFUL:
        location = safe_next(value, own_paths=OWN_PATHS)
        if location is not None:
            assert_stays_here(location)
            assert safe_next(location, own_paths=OWN_PATHS) == location, ascii(value)


def test_no_next_at_all_is_none() -> None:
    assert safe_next(None, own_paths=OWN_PATHS) is None


def test_or_04_what_was_emitted_once_is_emitted_again_unchanged() -> None:
    for _, location in GOOD:
        assert safe_next(location, own_paths=OWN_PATHS) == location, ascii(location)


@pytest.mark.parametrize("place", ["{}/a", "/{}", "/{}/evil.example", "/a{}", "/a?b={}", "/a?{}", "/a#{}", "//{}"])
def test_or_02_a_control_character_is_refused_wherever_it_stands(place: str) -> None:
    assert len(C0_AND_DEL) == 33
    assert taken(place.format(control) for control in C0_AND_DEL) == []


def test_or_06_a_route_of_ours_is_refused_only_while_it_is_ours() -> None:
    for path in OWN_PATHS:
        assert safe_next(path, own_paths=OWN_PATHS) is None, path
        assert safe_next(path, own_paths=OWN_PATHS - {path}) == path
        assert safe_next(path, own_paths=()) == path


def test_or_06_a_route_that_was_renamed_is_refused_under_its_new_name() -> None:
    assert safe_next("/login", own_paths={"/login"}) is None
    assert safe_next("/%6cogin?next=/a", own_paths={"/login"}) is None
    assert safe_next("/logins", own_paths={"/login"}) == "/logins"


def test_or_07_percent_encoding_is_looked_through_but_emitted_as_it_came() -> None:
    for value in (f"/a{layers(rounds, '41')}" for rounds in range(1, 5)):
        assert safe_next(value, own_paths=OWN_PATHS) == value


@pytest.mark.parametrize("character", ["2f", "2F", "5c", "0a", "00", "7f"])
def test_or_07_no_number_of_layers_hides_a_slash_a_backslash_or_a_control(character: str) -> None:
    assert taken(f"/{layers(rounds, character)}evil.example" for rounds in range(1, 40)) == []


def test_or_07_more_than_five_layers_are_refused_whatever_they_hold() -> None:
    assert taken(f"/a{layers(rounds, '41')}" for rounds in range(6, 40)) == []


def test_the_longest_next_is_2048_characters() -> None:
    longest = "/" + "a" * (MAX_CHARACTERS - 1)
    assert safe_next(longest, own_paths=OWN_PATHS) == longest
    assert safe_next(longest + "a", own_paths=OWN_PATHS) is None


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=40).map(lambda text: "/" + text) | st.text(max_size=40))
def test_or_13_any_text_is_refused_or_stays_on_this_origin(value: str) -> None:
    location = safe_next(value, own_paths=OWN_PATHS)
    if location is not None:
        assert_stays_here(location)
        assert safe_next(location, own_paths=OWN_PATHS) == location


@settings(max_examples=800, deadline=None)
@given(st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces)))
def test_or_13_any_mix_of_tricks_is_refused_or_stays_on_this_origin(value: str) -> None:
    location = safe_next(value, own_paths=OWN_PATHS)
    if location is not None:
        assert_stays_here(location)
        assert safe_next(location, own_paths=OWN_PATHS) == location
