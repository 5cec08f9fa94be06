"""The `Authorization` header of an API, and what its refusals say: RFC 6750 to the letter."""

import json
import string

import pytest

from xwms_auth import XWMSConfig
from xwms_auth._core.base.bearer_errors import InsufficientScope, InvalidBearerRequest, InvalidToken, TokenRequired
from xwms_auth._core.base.errors import CredentialsRejected, Unreachable, XWMSError
from xwms_auth._core.http.messages import Request, Response
from xwms_auth._core.responses.bearer_challenge import bearer_token, parse_scopes, refusal

LONGEST = 16 * 1024


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abcX", "abcX"),
        ("Bearer X", "X"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("Bearer   abc", "abc"),
        (" \tBearer abc\t ", "abc"),
        ("Bearer abc==", "abc=="),
        (f"Bearer {string.ascii_letters}{string.digits}-._~+/", f"{string.ascii_letters}{string.digits}-._~+/"),
        ("Bearer " + "a" * (LONGEST - 7), "a" * (LONGEST - 7)),
    ],
)
def test_a_well_formed_header_has_one_token(header, token):
    assert bearer_token(header).reveal() == token


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Bearer",
            "bearer",
            "Bearer ",
            "Bearer =",
            "Bearer ==",
            "Bearer a b",
            "Bearer a=b",
            "Bearer a,b",
            "Bearer \ta",
        ),
        *("Bearer a, Bearer b", "Bearer a,Bearer a", "Basic a, Bearer b", "Basic a,\tbearer b", "Basic a,bearer,c"),
        *("Bearer \u00e9", "Bearer \ud800", 'Bearer "a"', "Bearer a\x00", "Bearer a;", "Bearer " + "a" * (LONGEST - 6)),
    ],
)
def test_a_header_that_names_bearer_and_is_not_well_formed_is_refused(header):
    with pytest.raises(InvalidBearerRequest):
        bearer_token(header)


@pytest.mark.parametrize(
    "header",
    ["", " ", "Basic abc", "Bearerabc", "Bearer\tabc", "xBearer abc", "a bearer b", "a" * LONGEST + ",Bearer b", "abc"],
)
def test_a_header_that_does_not_name_bearer_has_no_token(header):
    with pytest.raises(TokenRequired):
        bearer_token(header)


def test_a_scope_is_named_alone_or_beside_others():
    assert parse_scopes("a  b:c") == parse_scopes(["a", "b:c"]) == ("a", "b:c")
    assert parse_scopes("") == ()
    for wrong in (["a b"], ["a", ""], 'a"', "a\\b", "\u00e9"):
        with pytest.raises(ValueError, match="visible ASCII"):
            parse_scopes(wrong)


def refused(
    error: XWMSError, *, scopes: tuple[str, ...] = (), method: str = "GET", debug: bool = False, **more: str
) -> Response:
    config = XWMSConfig(
        client_id="id",
        client_secret="secret",
        **{"domain": "app.example", **more},
        redirect_uris="http://localhost:5000/cb" if debug else "https://app.example/cb",
        session_secret="0123456789abcdefghijklmnopqrstuv",
    )
    return refusal(config, Request(method=method, path="/api", debug=debug), error, scopes=scopes)


def header_of(response: Response, name: str) -> list[str]:
    return [value for key, value in response.headers if key.lower() == name]


@pytest.mark.parametrize(
    ("error", "scopes", "challenge"),
    [
        (TokenRequired("x"), (), ['Bearer realm="app.example"']),
        (TokenRequired("x"), ("a", "b"), ['Bearer realm="app.example", scope="a b"']),
        (InvalidToken("x"), ("a",), ['Bearer realm="app.example", error="invalid_token", scope="a"']),
        (InvalidBearerRequest("x"), (), ['Bearer realm="app.example", error="invalid_request"']),
        (InsufficientScope("x"), ("a",), ['Bearer realm="app.example", error="insufficient_scope", scope="a"']),
        (TokenRequired("x"), ("a" * 1000,), [f'Bearer realm="app.example", scope="{"a" * 1000}"']),
        (TokenRequired("x"), ("a" * 1001,), ['Bearer realm="app.example"']),
        (Unreachable("x"), ("a",), []),
    ],
)
def test_a_refusal_about_the_token_is_a_challenge_and_no_other(error, scopes, challenge):
    response = refused(error, scopes=scopes)
    assert header_of(response, "www-authenticate") == challenge
    assert header_of(response, "vary") == ["Authorization"]
    assert header_of(response, "content-type") == ["application/problem+json"]
    assert header_of(response, "location") == []
    document = json.loads(response.body)
    assert response.status == document["status"] == error.status
    assert document.keys() <= {"type", "title", "status", "code", "detail", "developer"}
    assert (document["type"], document["code"]) == (f"urn:xwms-auth:error:{error.code}", error.code)
    assert (document["title"], document["detail"]) == (error.title, error.detail)


def test_a_refusal_says_when_to_come_back_if_the_error_does():
    assert header_of(refused(Unreachable("x", retry_after=7)), "retry-after") == ["7"]
    assert header_of(refused(InvalidToken("x")), "retry-after") == []


def test_a_developer_is_told_more_and_nobody_else():
    told = json.loads(refused(CredentialsRejected("x"), debug=True).body)["developer"]
    assert told
    assert all(isinstance(line, str) for line in told)
    assert "developer" not in json.loads(refused(CredentialsRejected("x")).body)
    assert "developer" not in json.loads(refused(TokenRequired("x"), debug=True).body), "there is nothing to tell"


def test_a_domain_is_quoted_in_the_challenge():
    response = refused(TokenRequired("x"), domain='a"b\\c')
    assert header_of(response, "www-authenticate") == ['Bearer realm="a\\"b\\\\c"']


def test_a_refusal_is_logged_with_its_code(caplog):
    caplog.set_level("INFO")
    refused(InvalidToken("it has expired"))
    assert "refused code=invalid_token path='/api' cause='it has expired'" in caplog.text


def test_a_head_request_gets_the_headers_alone():
    assert refused(TokenRequired("x"), method="HEAD").body == ""
    assert header_of(refused(TokenRequired("x"), method="HEAD"), "www-authenticate") != []
