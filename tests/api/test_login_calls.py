"""What XWMS may say and what we make of it: honest, absurd and hostile answers, on both clients.

The answers themselves are data in `corpus/answers.py`; a test says which ones it expected otherwise.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.corpus import answers as corpus
from tests.tools.clients import Client, both, config, info, sign
from tests.tools.clients import verify as verifying
from tests.tools.fake_xwms import CLIENT_ID, REJECTED, FakeXWMS, ask, outcomes
from tests.tools.faults import Reply, changed, envelope, refusal
from xwms_auth import User, XWMSError
from xwms_auth._core.base.errors import APIError

TOKEN = "a-token-0123456789"
verify = verifying(TOKEN)
CALLS = ("info", "sign-token", "sign-token-verify")


def user_info(client: Any) -> Any:
    return client.user_info("1234")


def countries(client: Any) -> Any:
    return client.countries()


QUESTIONS = {
    "info": info,
    "sign-token": sign,
    "sign-token-verify": verify,
    "get/user/info": user_info,
    "global/countries": countries,
}


def reply(answer: corpus.Answer) -> Reply:
    # Some statuses have no body; the connection ends, so that a body sent all the same disturbs nobody.
    headers = {"Content-Type": answer.content_type, "Connection": "close"}
    return Reply(status=answer.status, body=answer.body, headers=headers)


def verified(fx: FakeXWMS, client: Client, replies: Sequence[Reply]) -> list[Any]:
    fx.answer("sign-token-verify", *replies)
    return outcomes(client, config(fx), *[verify] * len(replies))


def failing(fx: FakeXWMS, client: Client, call: str, answers: Sequence[Reply]) -> list[APIError]:
    """The errors that these answers to one call become, each of which must be one."""
    fx.answer(call, *answers)
    got = outcomes(client, config(fx), *[QUESTIONS[call]] * len(answers))
    assert [(place, outcome) for place, outcome in enumerate(got) if not isinstance(outcome, APIError)] == []
    return got


def assert_refused_as(
    fx: FakeXWMS, client: Client, call: str, refusals: Sequence[tuple[int, str]], code: str, status: int
) -> None:
    """Each refusal, an HTTP status and a message, becomes the error of this code and this status."""
    errors = failing(fx, client, call, [refusal(http, message) for http, message in refusals])
    told = [(*refused, error.code, error.status) for refused, error in zip(refusals, errors, strict=True)]
    assert told == [(*refused, code, status) for refused in refusals]


# --- who is it? ------------------------------------------------------------------------------------------------------


@both
def test_every_honest_answer_names_the_person(fx: FakeXWMS, client: Client):
    """UT-04, UT-11"""
    got = verified(fx, client, [reply(answer) for answer in corpus.GOOD])
    assert {a.name: o for a, o in zip(corpus.GOOD, got, strict=True) if getattr(o, "sub", None) != "1234"} == {}


@both
def test_every_absurd_answer_is_an_error_of_ours(fx: FakeXWMS, client: Client):
    """UT-01, UT-03, UT-04, UT-05, UT-06, UT-07"""
    got = verified(fx, client, [reply(answer) for answer in corpus.BAD])
    wrong = {a.name: o for a, o in zip(corpus.BAD, got, strict=True) if not isinstance(o, APIError)}
    assert wrong == {}
    assert {error.status for error in got} <= {401, 500, 502, 503, 504}
    assert fx.calls("sign-token-verify") == len(corpus.BAD)


@both
def test_what_is_not_the_documented_answer_has_the_code_for_it(fx: FakeXWMS, client: Client):
    """UT-01, UT-04, UT-05, UT-06, UT-07"""
    plain = [a for a in corpus.BAD if a.status == 200 and '"error"' not in a.body.decode("latin-1")]
    assert len(plain) > 80
    got = verified(fx, client, [reply(answer) for answer in plain])
    assert {a.name: o.code for a, o in zip(plain, got, strict=True) if o.code != "xwms_bad_answer"} == {}


@both
def test_a_sub_is_taken_as_it_is_or_refused(fx: FakeXWMS, client: Client):
    """UT-02, SL-09"""
    got = verified(fx, client, [Reply(body=corpus.envelope(f'{{"sub": {sub.json}}}')) for sub in corpus.SUBS])
    expected = {sub.name: sub.canonical or "xwms_bad_answer" for sub in corpus.SUBS}
    said = [outcome.sub if isinstance(outcome, User) else getattr(outcome, "code", outcome) for outcome in got]
    assert dict(zip(expected, said, strict=True)) == expected


@both
def test_only_known_claims_of_the_right_type_are_kept(fx: FakeXWMS, client: Client):
    """UT-11"""
    strange = {"is_admin": True, "roles": ["admin"], "__proto__": {"x": 1}, "id": 7, "is_authenticated": False}
    wrong = {"name": ["Ada"], "email": 5, "given_name": {"a": 1}, "picture": True, "family_name": None}
    (user,) = verified(fx, client, [envelope({"sub": "1234", **strange, **wrong, "email_verified": True})])
    assert user == User(issuer=fx.api_url, sub="1234")


@both
def test_an_address_is_verified_only_by_true_itself(fx: FakeXWMS, client: Client):
    """SL-10"""
    claims: list[object] = ["true", "false", 1, 0, None, [], "yes", {"a": 1}]
    replies = [envelope({"sub": "1", "email": "ada@example.org", "email_verified": claim}) for claim in claims]
    for claim, user in zip(claims, verified(fx, client, replies), strict=True):
        assert (user.email, user.email_verified, user.verified_email) == ("ada@example.org", False, None), claim


@both
def test_markup_in_a_name_is_data_and_control_characters_are_not(fx: FakeXWMS, client: Client):
    """UT-12"""
    person = {"sub": "1", "name": "<script>alert(1)</script>", "given_name": "A\r\nSet-Cookie: a=b"}
    (user,) = verified(fx, client, [envelope(person)])
    assert user.name == "<script>alert(1)</script>"
    assert "\r" not in (user.given_name or "")


# --- HTTP status and envelope must agree ---------------------------------------------------------------------------

BODIES = {
    "success": envelope({"sub": "1234", "token": TOKEN, "url": "http://127.0.0.1/x"}).body,
    "error": refusal(200, REJECTED).body,
    "no envelope": b'{"sub": "1234"}',
    "html": b"<!doctype html>",
    "empty": b"",
}
UNREACHABLE = (429, 502, 503, 504)
STATUSES = (
    200,
    201,
    202,
    203,
    206,
    207,
    226,
    400,
    401,
    403,
    404,
    405,
    409,
    410,
    418,
    422,
    451,
    500,
    501,
    505,
    520,
    599,
)


@both
@pytest.mark.parametrize("call", CALLS)
def test_only_200_with_success_is_a_success(fx: FakeXWMS, client: Client, call: str):
    """UT-03"""
    cases = [
        (status, body) for status in (*STATUSES, *UNREACHABLE) for body in BODIES if (status, body) != (200, "success")
    ]
    fx.answer(call, *(Reply(status=status, body=BODIES[body]) for status, body in cases))
    got = outcomes(client, config(fx), *[QUESTIONS[call]] * len(cases))
    for (status, body), error in zip(cases, got, strict=True):
        assert isinstance(error, APIError), (status, body)
        if status in UNREACHABLE:
            assert (error.code, error.status) == ("xwms_unreachable", 503), (status, body)
            assert error.retry_after
        elif status >= 500 or body != "error":
            assert (error.code, error.status) == ("xwms_bad_answer", 502), (status, body)


@both
@pytest.mark.parametrize("call", CALLS)
def test_a_page_instead_of_an_answer_is_a_bad_answer(fx: FakeXWMS, client: Client, call: str):
    """UT-07"""
    for fault in ("empty", "200 html", "500 html", "wrong content type", "no content type"):
        fx.answer(call, fault)
        with pytest.raises(XWMSError) as caught:
            ask(client, config(fx), QUESTIONS[call])
        assert (caught.value.code, caught.value.status) == ("xwms_bad_answer", 502), fault


# --- XWMS says no ----------------------------------------------------------------------------------------------------

REFUSALS = [
    (401, "Invalid client credentials.", "credentials_rejected", 500),
    (401, "Invalid client credentials: the client ID is not known.", "credentials_rejected", 500),
    (401, "Invalid client credentials: the client secret is wrong.", "credentials_rejected", 500),
    (401, "The client secret is not active.", "credentials_rejected", 500),
    (401, "The client secret has expired.", "credentials_rejected", 500),
    (401, "Inactive client secret.", "credentials_rejected", 500),
    (403, "The domain is not allowed for this client.", "credentials_rejected", 500),
    (403, "The domain is not known for this client.", "credentials_rejected", 500),
    (403, "The domain is not allowed for this client secret.", "credentials_rejected", 500),
    (403, "The domain is not active.", "credentials_rejected", 500),
    (403, "The domain is not enabled for login.", "credentials_rejected", 500),
    (403, "The domain is not enabled for API calls.", "credentials_rejected", 500),
    (403, "The server IP address is not allowed for this domain.", "credentials_rejected", 500),
    (403, "The client is disabled.", "client_disabled", 503),
    (403, "The client ID abc is disabled.", "client_disabled", 503),
    (403, "The application is inactive.", "client_disabled", 503),
    (403, "The client is disabled, so its secret and its domain are not checked.", "client_disabled", 503),
    (422, "The redirect URL is not registered for this client.", "redirect_not_registered", 500),
    (422, "The redirect URL is not active.", "redirect_not_registered", 500),
    (422, "A live domain needs an https redirect URL.", "redirect_not_registered", 500),
]
ABOUT_THE_TOKEN = [
    REJECTED,
    "The token is not active.",
    "The token is disabled.",
    "The token was revoked.",
    "The token is for another redirect URL.",
    "The token is for another domain.",
    "This token is not for this client ID.",
    "Sign token inactive",
    "This token has not been approved.",
]


@both
@pytest.mark.parametrize("call", ["sign-token", "sign-token-verify", "get/user/info", "global/countries"])
def test_a_refusal_of_the_client_has_its_own_code_whether_its_status_says_so_or_is_200(
    fx: FakeXWMS, client: Client, call: str
):
    cases = [(status, *rest) for http, *rest in REFUSALS for status in (http, 200)]
    errors = failing(fx, client, call, [refusal(http, message) for http, message, _, _ in cases])
    told = [(*case[:2], error.code, error.status) for case, error in zip(cases, errors, strict=True)]
    assert told == cases


@both
@pytest.mark.parametrize("http", [200, 400, 401, 403, 404, 410, 422])
def test_a_no_to_a_token_is_token_rejected_and_no_fault_of_ours_whatever_else_it_names(
    fx: FakeXWMS, client: Client, http: int
):
    """LP-08: used, expired and unknown are one answer."""
    messages = [*ABOUT_THE_TOKEN, "no", "", "Token already used", "Ongeldig token", "<b>X</b>"]
    refusals = [(http, message) for message in messages]
    assert_refused_as(fx, client, "sign-token-verify", refusals, "token_rejected", 401)


@both
def test_credentials_are_never_a_fault_of_the_token(fx: FakeXWMS, client: Client):
    messages = ("Token refused: wrong client secret.", "No token for invalid credentials.")
    refusals = [(http, message) for http in (200, 401, 403) for message in messages]
    assert_refused_as(fx, client, "sign-token-verify", refusals, "credentials_rejected", 500)


@both
def test_a_person_who_withdrew_before_the_login_was_over_has_not_approved(fx: FakeXWMS, client: Client):
    refusals = [(403, "The user has not approved this client."), (403, "The user has revoked this client.")]
    assert_refused_as(fx, client, "sign-token-verify", refusals, "not_approved", 403)


@both
def test_any_message_or_none_makes_an_error_of_one_short_line(fx: FakeXWMS, client: Client):
    """LP-02"""
    messages: list[Any] = [None, 5, [], {}, True, "x" * 60_000, "\x00\r\n\x1b[31m"]
    replies = [envelope(status="error", message=message, http=401) for message in messages]
    for message, error in zip(messages, failing(fx, client, "sign-token-verify", replies), strict=True):
        assert error.code == "token_rejected", message
        assert len(str(error)) < 1000
        assert str(error).isprintable(), message


@both
@pytest.mark.parametrize("call", CALLS)
def test_the_words_of_xwms_are_not_shown_to_a_person(fx: FakeXWMS, client: Client, call: str):
    """UT-15"""
    replies = [refusal(http, "<b>X-Client-Secret bad</b>") for http in (200, 401, 422, 500)]
    for error in failing(fx, client, call, replies):
        assert "bad" not in error.title + error.detail, error
        assert "<b>" not in error.title + error.detail, error


# --- the answer belongs to the question ---------------------------------------------------------------------------


@both
def test_an_answer_for_another_client_is_refused(fx: FakeXWMS, client: Client):
    """UT-09"""
    for other in (
        "somebody-elses-client",
        CLIENT_ID.upper(),
        CLIENT_ID + " ",
        "",
        0,
        True,
        [CLIENT_ID],
        {"a": CLIENT_ID},
    ):
        fx.answer("sign-token", changed(client_id=other))
        (error,) = outcomes(client, config(fx), sign)
        assert getattr(error, "code", error) == "xwms_bad_answer", other


@both
def test_an_answer_about_another_token_is_refused(fx: FakeXWMS, client: Client):
    """UT-18"""
    tokens: list[object] = ["somebody-elses-token", TOKEN.upper(), "", 0, [TOKEN], {"a": TOKEN}]
    got = verified(fx, client, [envelope({"sub": "1234", "token": token}) for token in tokens])
    for token, error in zip(tokens, got, strict=True):
        assert getattr(error, "code", error) in {"xwms_bad_answer", "token_rejected"}, token


@both
def test_an_answer_that_repeats_our_own_token_and_client_id_is_fine(fx: FakeXWMS, client: Client):
    """UT-18"""
    (user,) = verified(fx, client, [envelope({"sub": "1234", "token": TOKEN, "client_id": CLIENT_ID})])
    assert user.sub == "1234"


# --- sign-token ------------------------------------------------------------------------------------------------------


@both
def test_the_login_page_is_where_xwms_may_have_it(fx: FakeXWMS, client: Client):
    """OR-09"""
    settings = config(fx, login_origins=("https://xwms.nl",))
    good = [url for url in corpus.GOOD_URLS if url.startswith("https://xwms.nl/")]
    fx.answer("sign-token", *(changed(url=url) for url in good))
    assert [getattr(o, "url", o) for o in outcomes(client, settings, *[sign] * len(good))] == good


@both
def test_a_login_page_anywhere_else_is_a_bad_answer(fx: FakeXWMS, client: Client):
    """OR-09"""
    urls: list[object] = [*corpus.BAD_URLS, None, 5, True, ["https://xwms.nl/x"], {"url": "https://xwms.nl/x"}]
    fx.answer("sign-token", *(changed(url=url) for url in urls))
    got = outcomes(client, config(fx, login_origins=("https://xwms.nl",)), *[sign] * len(urls))
    wrong = [(url, o) for url, o in zip(urls, got, strict=True) if getattr(o, "code", None) != "xwms_bad_answer"]
    assert wrong == []


@both
def test_the_address_may_be_in_each_place_the_sdks_accept(fx: FakeXWMS, client: Client):
    for place in ("data.url", "data.redirect_url", "redirect_url"):
        url, data = f"{fx.url}/sign-in/x", f'{{"token": "{TOKEN}"}}'
        if place != "redirect_url":
            data = f'{{"token": "{TOKEN}", "{place.removeprefix("data.")}": "{url}"}}'
        top = f', "redirect_url": "{url}"' if place == "redirect_url" else ""
        fx.answer("sign-token", Reply(body=f'{{"status": "success", "data": {data}{top}}}'.encode()))
        assert ask(client, config(fx), sign).url == url, place


@both
def test_a_login_without_a_usable_token_is_a_bad_answer(fx: FakeXWMS, client: Client):
    """RP-08"""
    tokens: list[object] = [None, "", " ", 5, True, [], {}, "a" * 60_000]
    tokens += ["a\r\nb-0123456789", "\x00" * 20, "\ud800" * 9]
    fx.answer("sign-token", *(changed(token=token) for token in tokens))
    for token, error in zip(tokens, outcomes(client, config(fx), *[sign] * len(tokens)), strict=True):
        assert getattr(error, "code", error) == "xwms_bad_answer", token


MOMENTS: list[object] = [
    "2020-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
]
MOMENTS += [
    "2030-01-01T00:00:00",
    "2030-01-01",
    "soon",
    "",
    " ",
    None,
    5,
    1e308,
    -1,
    True,
    [],
    {},
    "9" * 10_000,
    "\x00",
]
MOMENTS += ["2030-13-01T00:00:00Z", "2030-01-01T00:00:00+99:99", "2030-W01-1", "٢٠٣٠-01-01T00:00:00Z", "\ud800"]


@both
def test_no_expiry_however_odd_stops_a_login(fx: FakeXWMS, client: Client):
    """UT-10: what cannot be read counts as not given; the pending login has a bound of its own."""
    fx.answer("sign-token", *(changed(expires_at=moment) for moment in MOMENTS))
    got = outcomes(client, config(fx), *[sign] * len(MOMENTS))
    assert [(moment, o) for moment, o in zip(MOMENTS, got, strict=True) if isinstance(o, Exception)] == []
    assert {type(ticket.expires_at) for ticket in got} <= {int, type(None)}


@both
def test_the_address_said_before_anybody_logged_in_is_dropped(fx: FakeXWMS, client: Client):
    """LP-07"""
    assert "before-login" not in repr(ask(client, config(fx), sign))
