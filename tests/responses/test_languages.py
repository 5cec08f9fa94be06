"""What visitors read in ten languages: each file is complete, and each page is in the language of its reader."""

import re
import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest

import xwms_auth
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, LOGIN, PROGRAM
from xwms_auth import EndReason, LoginExpired, NotAllowed, XWMSConfig, XWMSError
from xwms_auth._core.accounts.errors import AccountBlocked, NoAccount
from xwms_auth._core.accounts.picture_errors import PictureRefused
from xwms_auth._core.base.bearer_errors import BearerRefused
from xwms_auth._core.base.errors import APIError, ClientUnknown, CredentialsRejected, Unreachable
from xwms_auth._core.base.texts import sentences as texts
from xwms_auth._core.base.texts.sentences import LANGUAGES, key_of, texts_in
from xwms_auth._core.responses.buttons import login_button, logout_form
from xwms_auth._core.responses.pages import confirm_page, error_page, leading_page, person_page, proof_page
from xwms_auth._core.responses.presentation import Presentation

ROOT = Path(xwms_auth.__file__).parents[1]
FILES = Path(texts.__file__).with_name("languages")
OTHERS = [language for language in LANGUAGES if language != "en"]

# Letters that a language is not written without, and the marks of other ones that a slip would bring in.
SCRIPTS = {"ar": "ARABIC", "bn": "BENGALI", "ru": "CYRILLIC", "zh": "CJK"}


def data_of(language: str) -> dict:
    return tomllib.loads((FILES / f"{language}.toml").read_text(encoding="utf-8"))


def sentences(data: dict, prefix: str = "") -> dict[str, str]:
    """Every text of a file by its whole key."""
    found: dict[str, str] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            found |= sentences(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            found[prefix + name] = value
    return found


def classes_of(error: type[XWMSError]):
    yield error
    for kind in error.__subclasses__():
        yield from classes_of(kind)


ENGLISH = sentences(data_of("en"))


def test_there_is_a_file_for_each_of_xwms_languages_and_no_other():
    assert {path.name for path in FILES.iterdir()} == {f"{language}.toml" for language in LANGUAGES}
    assert len(LANGUAGES) == 10


@pytest.mark.parametrize("language", OTHERS)
def test_a_file_has_exactly_the_keys_of_the_english_one(language):
    data = data_of(language)
    assert sentences(data).keys() == ENGLISH.keys()
    assert data.keys() == data_of("en").keys()
    assert data["reviewed"] in (True, False)
    assert data["direction"] == ("rtl" if language == "ar" else "ltr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_is_plain_text_in_one_line_with_no_blanks_around_it(language):
    for key, text in sentences(data_of(language)).items():
        assert text, key
        assert text == text.strip(), key
        assert text == unicodedata.normalize("NFC", text), key
        assert not re.search(r"[<>&{}$%`\\\t\n]|  ", text), key
        assert not any(
            unicodedata.category(character).startswith("C") for character in text if character not in "\u200c\u200d"
        ), key


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_is_not_left_in_english_and_names_xwms_where_english_does(language):
    for key, text in sentences(data_of(language)).items():
        if key == "direction":
            continue
        assert text != ENGLISH[key], key
        assert ("XWMS" in text) == ("XWMS" in ENGLISH[key]), key
        if language in SCRIPTS:
            assert any(SCRIPTS[language] in unicodedata.name(character, "") for character in text), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_ends_as_the_english_one_does(language):
    ends = {".": ".।。", "?": "?؟？", ":": ":："}
    for key, text in sentences(data_of(language)).items():
        assert (text[-1] in ends.get(ENGLISH[key][-1], "")) or ENGLISH[key][-1] not in ends, key


def test_the_english_file_says_what_the_classes_say_and_has_every_one_that_a_page_may_show():
    shown = [error for error in classes_of(XWMSError) if error.__module__.startswith("xwms_auth.")]
    shown = [error for error in shown if not issubclass(error, BearerRefused)]  # only programs get these
    own = {
        f"errors.{key_of(error)}.{name}": vars(error)[name]
        for error in shown
        for name in ("title", "detail")
        if name in vars(error)
    }
    assert {key: text for key, text in ENGLISH.items() if key.startswith("errors.")} == own
    ends = {key.removeprefix("signed_out."): text for key, text in ENGLISH.items() if key.startswith("signed_out.")}
    assert ends == {reason.value: reason.detail for reason in EndReason}


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (XWMSError, "xwms_error"),
        (APIError, "api_error"),
        (LoginExpired, "login_expired"),
        (NotAllowed, "not_allowed"),
    ],
)
def test_a_class_has_its_name_as_its_key(error, key):
    assert key_of(error) == key


def test_classes_with_one_code_have_their_own_sentences_and_others_those_of_their_base():
    german = texts_in("de")
    assert {NotAllowed.code, NoAccount.code, AccountBlocked.code} == {"not_allowed"}
    assert german.title_of(NotAllowed()) == "Sie dürfen diese Seite nicht sehen"
    assert german.title_of(NoAccount()) == "Sie können sich hier nicht anmelden"
    assert german.title_of(AccountBlocked()) == "Ihr Konto ist gesperrt"
    assert german.detail_of(ClientUnknown()) == german.detail_of(CredentialsRejected())
    assert german.title_of(Unreachable()) == "Die Anmeldung ist nicht möglich"
    assert german.title_of(PictureRefused("url", "x")) == "Das Bild kann nicht angezeigt werden"


def test_a_sentence_of_an_applications_own_class_or_error_stays_as_it_is():
    class NotAllowedYet(NotAllowed):
        title = "Come back on Monday"

    assert texts_in("nl").title_of(NotAllowedYet()) == "Come back on Monday"
    assert texts_in("nl").detail_of(NotAllowedYet()) == texts_in("nl").detail_of(NotAllowed())
    NotAllowedYet.__name__ = "NotAllowed"
    assert texts_in("nl").title_of(NotAllowedYet()) == "Come back on Monday"
    one = NotAllowed()
    one.detail = "Ask Anna."  # type: ignore[misc]
    assert texts_in("nl").detail_of(one) == "Ask Anna."


def test_a_programs_error_stays_english_whatever_the_language(browser):
    answer = browser.get("/who", {**PROGRAM, "Accept-Language": "nl"})
    assert answer.json()["title"] == "Please log in"
    assert "content-language" not in answer.headers


@pytest.mark.parametrize("reason", EndReason)
def test_why_one_was_signed_out_can_be_had_in_any_language(reason):
    assert reason.detail_in("en-GB") == reason.detail_in("fr") == reason.detail_in("") == reason.detail
    assert len({reason.detail_in(language) for language in LANGUAGES}) == 10
    assert reason.detail_in("pt-BR") == texts_in("pt").signed_out[reason]


def test_nothing_is_read_before_a_text_is_shown():
    code = (
        "import sys, xwms_auth.flask, xwms_auth.starlette\n"
        "from xwms_auth import EndReason, XWMSConfig\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "XWMSConfig.from_mapping(dict(XWMS_CLIENT_ID='a', XWMS_CLIENT_SECRET='b', XWMS_LOCALE='nl',"
        " XWMS_REDIRECT_URI='https://a.example/cb'))\n"
        "assert EndReason.IDLE.detail\n"
        "assert 'tomllib' not in sys.modules\n"
        "assert not [name for name in opened if name.endswith('.toml')]\n"
        "EndReason.IDLE.detail_in('nl')\n"
        "assert [name[-7:] for name in opened if name.endswith('.toml')] == ['nl.toml']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def look(language: str) -> Presentation:
    return Presentation(texts=texts_in(language), site_name="Support desk")


def pages_in(language: str) -> list[str]:
    person = {"name": "Ada", "email": "ada@example.org", "sub": "1001", "look": look(language)}
    made = [
        error_page(
            title="t", detail="d", code="x", action_url="/a", action_label="l", home_url="/", look=look(language)
        ),
        confirm_page(action_url="/a", form_origins=(), look=look(language)),
        person_page(**person, action_url="/a", key="k", again_url="/a"),
        person_page(**person, action_url="/a", key="k", again_url="/a", links=True),
        proof_page(**person, login_url="/in", as_other=True),
        leading_page(url="https://xwms.nl/", look=look(language)),
    ]
    return [page.html for page in made]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_says_its_language_and_has_no_text_of_another(language):
    english = {text for key, text in ENGLISH.items() if key.startswith("pages.") and len(text) > 12}
    for page in pages_in(language):
        assert f'<html lang="{language}" dir="{texts_in(language).direction}">' in page
        assert '<p class="site muted small"><span dir="auto">Support desk</span></p>' in page
        assert language == "en" or not [text for text in english if text in page]


def test_codes_and_addresses_run_from_left_to_right_in_arabic_too():
    error, _, person, *_ = pages_in("ar")
    assert '<span dir="ltr"><code>x</code></span>' in error
    assert '<bdi class="muted" dir="ltr">ada@example.org</bdi>' in person
    assert '<bdi dir="ltr">1001</bdi>' in person
    assert "<bdi>Ada</bdi>" in person
    nobody = person_page(
        name="Ada", email=None, sub="1", action_url="/a", key="k", again_url="/a", look=look("ar")
    ).html
    assert f'<bdi class="muted">{texts_in("ar").pages.person_no_email}</bdi>' in nobody


def test_what_developers_are_told_stays_english_and_says_so():
    page = error_page(
        title="t", detail="d", code="x", action_url=None, action_label="", home_url="/", look=look("ar"), hints=["Do."]
    )
    assert '<aside class="developer" lang="en" dir="ltr">' in page.html


def test_the_documentation_says_which_languages_nobody_has_read():
    page = (ROOT / "docs" / "languages.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| \w+ \| `(\w\w)` \| [a-z ]+ \| ([a-z ]+) \|$", page, re.M))
    assert told == {language: "yes" if data_of(language)["reviewed"] else "not yet" for language in LANGUAGES}


# --- on the doors ---


@pytest.mark.parametrize(
    ("asked", "language", "heading"),
    [
        ("nl-NL,nl;q=0.9,en;q=0.8", "nl", "Inloggen met XWMS?"),
        ("ar", "ar", "هل تريد تسجيل الدخول باستخدام XWMS؟"),
        ("fr", "en", "Log in with XWMS?"),
        (None, "en", "Log in with XWMS?"),
    ],
)
def test_the_confirmation_is_in_the_language_that_the_browser_asks_for(browser, asked, language, heading):
    headers = FROM_ELSEWHERE if asked is None else {**FROM_ELSEWHERE, "Accept-Language": asked}
    answer = browser.get(LOGIN, headers)
    assert answer.status_code == 200
    assert f"<h1>{heading}</h1>" in answer.text
    assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "Accept-Language")


def test_an_error_is_in_the_language_that_the_browser_asks_for(browser):
    answer = browser.get(CALLBACK, {**FROM_ELSEWHERE, "Accept-Language": "zh-TW"})
    assert (answer.status_code, answer.headers["content-language"]) == (400, "zh")
    assert "<h1>您尚未登录</h1>" in answer.text
    assert '<span dir="ltr"><code>token_missing</code></span>' in answer.text


def test_a_site_in_one_language_has_its_pages_in_that_and_depends_on_no_header(make_site):
    browser = make_site(locale="de-AT", site_name="Stadtwerke").browser()
    answer = browser.get(LOGIN, {**FROM_ELSEWHERE, "Accept-Language": "nl"})
    assert "<h1>Mit XWMS anmelden?</h1>" in answer.text
    assert '<p class="site muted small"><span dir="auto">Stadtwerke</span></p>' in answer.text
    assert answer.headers["content-language"] == "de"
    assert "vary" not in answer.headers


def test_the_reason_of_a_sign_out_is_in_the_readers_language(make_site):
    site = make_site("fresh", callback_token="fresh", session_idle=300)
    browser = site.browser()
    browser.log_in()
    site.clock.advance(301)
    answer = browser.get(LOGIN, {**FROM_ELSEWHERE, "Accept-Language": "es"})
    assert EndReason.IDLE.detail_in("es") in answer.text


def test_the_page_names_the_host_of_the_redirect_uri_that_the_request_is_for(make_site):
    site = make_site(redirect_uris=["https://one.example/cb", "https://two.example/cb"])
    for host, named in (("one.example", "one.example"), ("TWO.example", "two.example"), ("evil.example", None)):
        answer = site.raw(
            LOGIN,
            headers=[
                ("Accept", "text/html"),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            host=host,
        )
        shown = re.findall(r'<span dir="auto">([^<]*)</span>', answer.text)
        assert shown == ([named] if named else [])


def test_buttons_say_the_language_of_their_label():
    german = texts_in("de")
    assert '<button type="submit" lang="de" dir="ltr">' in login_button(login_url="/a", language=german)
    assert '<button type="submit" lang="de" dir="ltr">' in logout_form(logout_url="/a", csrf_token="t", language=german)


def test_a_config_takes_a_language_tag_and_refuses_others():
    required = {"client_id": "a", "client_secret": "b", "redirect_uris": "https://a.example/cb"}
    assert XWMSConfig(**required, locale="zh-Hant").locale == "zh"
    for locale in ("fr", "nl;q=1", "../nl", "nl\n", "-", None, 5):
        with pytest.raises(xwms_auth.ConfigError, match=r"XWMS_LOCALE \(locale\) must be one of: nl, en"):
            XWMSConfig(**required, locale=locale)


@pytest.mark.parametrize("language", ["xx", "", "../en", "EN"])
def test_no_file_but_those_of_the_languages_is_read(language):
    with pytest.raises(ValueError, match="not one of the languages"):
        texts_in(language)
