"""An API called with access tokens: where the token may be, what each refusal says (RFC 6750), and what is kept apart.

Each test runs on Flask, Starlette and FastAPI.
"""

import re

import httpx2
import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.fake_as import INTROSPECT
from tests.oauth2.steps import code_of, log_in
from tests.tools.site import FROM_HERE, PROGRAM


@pytest.fixture(params=["flask", "asgi", "fastapi"])
def edge(request):
    return request.param


@pytest.fixture
def api(edge, server):
    return APISite(edge, server)


def challenge(answer: httpx2.Response) -> dict[str, str]:
    (header,) = answer.headers.get_list("www-authenticate")
    assert header.startswith("Bearer ")
    return dict(re.findall(r'(\w+)="([^"]*)"', header))


def test_a_good_token_opens_the_api_and_says_who_calls(api, server):
    answer = api.call(server.give(scope="read write", exp=1900000000))
    assert answer.status_code == 200
    assert answer.json() == {
        "sub": "xwms-user-1234",
        "client_id": "fx-client",
        "scopes": ["read", "write"],
        "expires_at": 1900000000,
        "username": None,
        "acts_for_itself": False,
        "issuer": server.issuer,
        "identity": [server.issuer, "xwms-user-1234"],
        "user": None,
    }
    (request,) = server.to(INTROSPECT)
    assert request.method == "POST"
    assert "?" not in request.target
    assert request.all("Authorization")[0].startswith("Basic ")


def test_a_client_that_acts_for_itself_is_nobody(api, server):
    """RFC 9700 4.15: one that may choose its id could otherwise choose somebody's sub."""
    for sub in (None, "fx-client"):
        told = api.call(server.give(sub=sub)).json()
        assert (told["sub"], told["identity"], told["client_id"]) == (None, None, "fx-client"), sub


def test_the_scheme_has_no_case(api, server):
    for scheme in ("bearer", "BEARER", "Bearer ", "bEaReR   "):
        answer = api.call(headers={"Authorization": f"{scheme} {server.give()}"})
        assert answer.status_code == 200, scheme


def test_what_is_posted_reaches_the_application(api, server):
    headers = {"Authorization": f"Bearer {server.give()}"}
    assert api.browser().post("/api/form", headers, data={"name": "Ada"}).text == "name=Ada"


# --- refusals ---


def test_who_brings_no_token_is_told_that_one_is_needed_and_no_error(api, server):
    for header in (None, "", "Basic Zng6c2VjcmV0", "Bearertoken", "Token abc", "DPoP abc"):
        headers = {} if header is None else {"Authorization": header}
        answer = api.call(path="/api/write", headers=headers)
        assert code_of(answer) == (401, "token_required"), header
        assert challenge(answer) == {"realm": "app.example", "scope": "read write"}, header
        assert server.calls(INTROSPECT) == 0, header


MALFORMED = [
    ["Bearer"],
    ["Bearer "],
    ["Bearer {t} {t}"],
    ["Bearer {t},"],
    ["Bearer {t}=x"],
    ["Bearer {t}é"],
    ["Bearer ={t}"],
    ['Bearer "{t}"'],
    ["Bearer\t{t}"],
    ["Bearer " + "x" * 17_000],
    ["Bearer {t}", "Bearer {t}"],
    ["Bearer {t}", "Basic Zng6c2VjcmV0"],
    ["Basic Zng6c2VjcmV0", "Bearer {t}"],
    ["Bearer {t}", ""],
]


def test_a_header_that_is_not_exactly_one_token_is_malformed(api, server):
    token = server.give()
    for headers in MALFORMED:
        answer = api.raw("/api/token", headers=[("Authorization", header.format(t=token)) for header in headers])
        if headers == ["Bearer\t{t}"]:
            assert code_of(answer) == (401, "token_required")  # no scheme that is known
        else:
            assert code_of(answer) == (400, "invalid_bearer_request"), headers
            assert challenge(answer) == {"realm": "app.example", "error": "invalid_request"}, headers
        assert server.calls(INTROSPECT) == 0, headers


def test_a_token_without_the_scope_is_told_which_is_needed(api, server):
    token = server.give(scope="read")
    assert api.call(token, "/api/read").text == "read xwms-user-1234"
    answer = api.call(token, "/api/write")
    assert code_of(answer) == (403, "insufficient_scope")
    assert challenge(answer) == {"realm": "app.example", "error": "insufficient_scope", "scope": "read write"}
    assert api.call(server.give(scope="write other read"), "/api/write").status_code == 200
    assert code_of(api.call(server.give(scope=None), "/api/read")) == (403, "insufficient_scope")
    assert code_of(api.call(server.give(scope="READ reader"), "/api/read")) == (403, "insufficient_scope")


def test_a_bad_token_gets_one_answer_whatever_is_wrong_with_it(api, server):
    bad = [server.give(active=False), server.give(exp=1), server.give(client_id="another"), "junk"]
    answers = [api.call(token) for token in bad]
    assert {answer.text for answer in answers} == {answers[0].text}
    for answer in answers:
        assert code_of(answer) == (401, "invalid_token")
        assert challenge(answer) == {"realm": "app.example", "error": "invalid_token"}


def test_a_refusal_is_a_document_that_nobody_keeps_and_no_way_to_log_in(api, server):
    for headers in (PROGRAM, FROM_HERE):
        answer = api.call("junk", headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"] == "Authorization"
        assert set(answer.json()) == {"type", "title", "status", "code", "detail"}
        assert answer.headers.get_list("set-cookie") == []
    if api.edge != "fastapi":  # which has no HEAD by itself
        head = api.raw("/api/token", method="HEAD")
        assert (head.status_code, head.content) == (401, b"")
        assert "www-authenticate" in head.headers


def test_an_answer_made_for_a_token_is_kept_by_no_shared_cache(api, server):
    token = server.give()
    plain = api.call(token, "/api/read").headers
    assert (plain["cache-control"], plain["vary"]) == ("private, no-store", "Authorization")
    own = api.call(token, "/api/cached").headers
    assert own.get_list("cache-control") == ["private, max-age=60"]
    assert own["vary"] == "Accept, Authorization"
    both = api.call(token, "/api/token").headers
    assert {part.strip() for part in both["vary"].split(",")} == {"Authorization", "Cookie"}


# --- what is kept apart ---


def test_sf_05_a_token_anywhere_but_in_the_header_is_no_token(api, server):
    """SF-05: in the query it would be in logs and history, in a cookie or a form another site could send it."""
    token = server.give()
    for more in (
        {"params": {"access_token": token}},
        {"params": {"token": token, "Authorization": f"Bearer {token}"}},
        {"headers": {"Cookie": f"access_token={token}; Authorization=Bearer {token}"}},
        {"headers": {"X-Authorization": f"Bearer {token}", "Proxy-Authorization": f"Bearer {token}"}},
    ):
        assert code_of(api.call(**more)) == (401, "token_required")
    form = f"access_token={token}".encode()
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    assert code_of(api.raw("/api/token", headers=[kind], body=form)) == (401, "token_required")
    assert server.calls(INTROSPECT) == 0


def test_sf_05_a_session_opens_no_api_and_a_token_signs_nobody_in(api, server):
    """SF-05: each is asked for where it counts, and nowhere else."""
    browser = api.browser()
    assert log_in(browser, server, sub="ada").status_code == 303
    assert browser.who() == "ada"
    assert code_of(browser.get("/api/token", PROGRAM)) == (401, "token_required")

    token = server.give(sub="bob")
    with_token = {**PROGRAM, "Authorization": f"Bearer {token}"}
    assert code_of(api.browser().get("/who", with_token)) == (401, "login_required")
    assert api.browser().get("/xwms/me", with_token).json()["user"] is None

    told = browser.get("/api/token", with_token).json()
    assert (told["sub"], told["user"]) == ("bob", "ada")
    # The handle of a session is no token, and the token no handle.
    cookie = browser.cookies()[api.session_cookie]
    assert code_of(api.call(cookie.replace("|", "."))) == (401, "invalid_token")
    stranger = api.browser()
    stranger.client.cookies.set(api.session_cookie, token)
    assert code_of(stranger.get("/who", PROGRAM)) == (401, "login_required")


def test_sf_05_the_access_token_of_a_login_opens_the_api_for_who_brings_it_not_for_its_session(api, server):
    """SF-05"""
    token = server.give(sub="ada")
    server.tokens, server.claims = {"access_token": token}, {"at_hash": None}
    browser = api.browser()
    assert log_in(browser, server, sub="ada").status_code == 303
    assert code_of(browser.get("/api/token", PROGRAM)) == (401, "token_required")
    told = api.call(token).json()
    assert (told["sub"], told["user"]) == ("ada", None)


def test_se_04_no_token_is_in_an_answer_or_a_log(api, server, caught):
    """SE-04: good or bad, in debug mode, and where introspection fails."""
    good, bad = server.give(), server.give(active=False)
    site = APISite(api.edge, server, debug=True)
    seen = "".join(site.call(token, "/api/write").text for token in (good, bad, bad))
    server.answer(INTROSPECT, "echo in error")
    failed = site.call(other := server.give())
    assert failed.status_code == 503
    seen += failed.text + str(failed.headers) + caught()
    for token in (good, bad, other, "canary"):
        assert token not in seen
    assert "insufficient_scope" in seen
