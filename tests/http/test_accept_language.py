"""`Accept-Language` (RFC 9110 12.5.4): the language that a visitor prefers among ours, or English."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xwms_auth._core.base.texts.sentences import LANGUAGES, language_of
from xwms_auth._core.http.languages import MAX_ACCEPT_LANGUAGE, MAX_RANGES, preferred_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("nl", "nl"),
        ("nl-BE", "nl"),
        ("NL-be", "nl"),
        ("pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "pt"),
        ("zh-TW,zh;q=0.9", "zh"),
        ("zh-Hant-HK", "zh"),
        ("in-ID", "id"),
        ("fr-FR,fr;q=0.9,de;q=0.5,en;q=0.4", "de"),
        ("fr,it;q=0.9", "en"),
        ("en;q=0.1,ru;q=0.2", "ru"),
        ("ru;q=0.2 , en ; q=0.10", "ru"),
        ("es, de", "es"),
        ("es;q=1.000,de;q=1", "es"),
        ("de;Q=0.5, ar;q=0.6", "ar"),
        (",, bn ,", "bn"),
        ("pt-BR;q=0, pt;q=0.3", "pt"),
        ("de;q=0, *", "en"),
        ("en;q=0, *;q=0.5", "nl"),
        ("en;q=0, nl;q=0, *", "ar"),
        ("*", "en"),
        ("fr, *;q=0.1", "en"),
        ("nl;q=0", "en"),
        ("*;q=0", "en"),
        ("i-klingon", "en"),
        ("  nl\t", "nl"),
    ],
)
def test_the_language_with_the_highest_weight_is_taken_and_the_earlier_of_two(header, language):
    assert preferred_language(header) == language


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nl;q=2",
        "nl;q=1.001",
        "nl;q=0.1234",
        "nl;q=-1",
        "nl;q=",
        "nl;q",
        "nl;q=.5",
        "nl;q=0,5",
        "nl;level=1",
        "nl; q = 0.5",
        "nl de",
        "nl_BE",
        "nl-",
        "-nl",
        "nederlandse",
        "nl-verylongsubtag",
        "nl\r\nX: y",
        "nl\x00",
        "nl,<script>",
        "nl,\u0660",
        "nl;q=\u0661",
        "*-NL",
        "nl" + "," * MAX_RANGES,
        "nl," + "a" * MAX_ACCEPT_LANGUAGE,
        "nl" + "-a" * 9,
    ],
)
def test_a_header_that_is_absent_malformed_or_too_long_gets_english(header):
    assert preferred_language(header) == "en"


@given(st.text(alphabet="nldepturzh-_*;,q=01. \t\r\n\u0660<\"'", max_size=80) | st.text(max_size=40))
def test_whatever_is_sent_the_result_is_one_of_ours(header):
    assert preferred_language(header) in LANGUAGES


@pytest.mark.parametrize(
    ("tag", "language"),
    [("nl", "nl"), ("pt-BR", "pt"), ("zh_Hant_TW", "zh"), ("EN-us", "en"), ("in", "id"), ("fr", None), ("", None)],
)
def test_a_tag_is_reduced_to_one_of_our_languages(tag, language):
    assert language_of(tag) == language
