"""The grammar of a login's parameters (OpenID Connect Core 3.1.2.1): what is malformed is absent or refused."""

import pytest

from xwms_auth._core.http.login_params import LoginParams

RIGHT = {
    "ui_locales": ["nl", "fr-CA fr en", "zh-Hant-TW", " ".join(["nl"] * 10)],
    "prompt": ["none", "login", "consent", "select_account", "login consent", "select_account login"],
    "login_hint": ["anna@example.org", "Anna Müller", "+31 6 1234", "x" * 254, "é" * 127],
    "acr_values": ["urn:mace:incommon:iap:silver", "0", "phr phrh", "x" * 300],
}
WRONG = {
    "ui_locales": [
        "nl,en",
        "nl  en",
        " nl",
        "nl ",
        "nl_NL",
        "nl\n",
        "*",
        "x" * 9,
        "nl-" + "x" * 9,
        " ".join(["nl"] * 11),
    ],
    "prompt": ["None", "none login", "login login", "create", "login,consent", " login", "login\t", "login  consent"],
    "login_hint": ["a\nb", "a\0", "\x7f", "\u2028", "\ud800", "x" * 255, "é" * 128, "\u202egro"],
    "acr_values": ['a"b', "a\\b", "é", "a  b", "a\n", "x" * 301, " ".join("abcdefghijk")],
}
CASES = [(name, value) for name, values in WRONG.items() for value in values]


def test_what_the_grammar_allows_is_read_as_it_is():
    for name, values in RIGHT.items():
        for value in values:
            read = LoginParams.read({name: [value]}.get, [name])
            assert read.pairs() == {name: value} == LoginParams.of(**{name: value}).pairs()


@pytest.mark.parametrize(("name", "value"), CASES)
def test_what_is_malformed_counts_as_absent_in_a_request_and_is_refused_in_code(name, value):
    assert LoginParams.read({name: [value]}.get, [name]).pairs() == {}
    with pytest.raises(ValueError, match=f"{name} is not as OpenID Connect") as refused:
        LoginParams.of(**{name: value})
    assert value not in str(refused.value)


def test_a_parameter_that_comes_twice_or_is_not_on_the_list_counts_as_absent():
    values = {"prompt": ["login", "login"], "ui_locales": ["nl"], "login_hint": []}
    assert LoginParams.read(values.get, ["prompt", "login_hint"]).pairs() == {}


def test_in_code_a_list_may_be_one_and_nothing_else_is_taken():
    assert LoginParams.of(prompt=["login", "consent"], ui_locales=("nl", "en")).pairs() == {
        "prompt": "login consent",
        "ui_locales": "nl en",
    }
    for wrong in (5, None, ["login", 5]):
        with pytest.raises(TypeError, match="neither text nor"):
            LoginParams.of(prompt=wrong)
    with pytest.raises(TypeError, match="no parameter called max_age"):
        LoginParams.of(max_age="0")


def test_a_hint_about_the_person_is_in_no_repr():
    assert "anna" not in repr(LoginParams.of(login_hint="anna@example.org", prompt="login"))
