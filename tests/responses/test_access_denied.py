"""What whoever may not see a page is told: where to log in and come back from, or why that would not help."""

from typing import NamedTuple

import pytest

from xwms_auth import Secret, StoreUnavailable, User, XWMSConfig
from xwms_auth._core.base.errors import LoginRequired, NotAllowed, NotApproved
from xwms_auth._core.base.models import EndReason, TokenSet
from xwms_auth._core.base.session import AheadSession, Session
from xwms_auth._core.http.messages import Request
from xwms_auth._core.http.next_url import MAX_NEXT
from xwms_auth._core.responses.access_denied import for_failure, unless_signed_in, without_account
from xwms_auth._core.responses.login_requirement import LoginRequirement

NOW = 1_800_000_000
CONFIG = XWMSConfig(
    client_id="desk",
    client_secret="s3cret",
    redirect_uris="https://app.example/xwms/validateToken",
    session_secret="r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3",
    trusted_origins="https://front.example https://other.example".split(),
)
PERSON = {"sec-fetch-mode": "navigate", "accept": "text/html"}
HTMX = {"hx-request": "true"}


class Known(NamedTuple):
    session: Session | None = None
    ended: EndReason | None = None
    ahead: AheadSession | None = None


def asked(headers=PERSON, *, target="/page?a=1", method="GET"):
    return Request(method=method, path=target.partition("?")[0], target=target, headers=headers)


def session(*, at=NOW, scope=None, **claims) -> Session:
    user = User(issuer="https://xwms.nl/api/", sub="17", **claims)
    tokens = None
    if scope is not None:
        tokens = TokenSet(access_token=Secret("a"), refresh_token=None, id_token=None, scope=scope, expires_at=None)
    return Session(id="i", user=user, started_at=at, seen_at=at, tokens=tokens)


def denied(found, request=None, **more):
    sent = asked() if request is None else request
    return unless_signed_in(CONFIG, lambda: found, lambda: sent, now=NOW, **more)


def location(refused):
    return dict(refused.response.headers).get("Location")


# Nobody.


@pytest.mark.parametrize(
    ("request_", "login_url"),
    [
        (asked(), "/xwms/auth?next=/page%3Fa%3D1"),
        (asked(method="HEAD"), "/xwms/auth?next=/page%3Fa%3D1"),
        (asked(method="POST"), "/xwms/auth"),
        (asked(target="/" + "x" * (MAX_NEXT - 1)), "/xwms/auth?next=/" + "x" * (MAX_NEXT - 1)),
        (asked(target="/" + "x" * MAX_NEXT), "/xwms/auth"),
        (asked({**PERSON, "hx-current-url": "https://app.example/other"}), "/xwms/auth?next=/page%3Fa%3D1"),
    ],
)
def test_a_browser_is_led_to_the_login_and_back_to_the_page(request_, login_url):
    refused = denied(Known(), request_)
    assert (refused.response.status, location(refused)) == (302, login_url)
    assert (refused.login_url, refused.code, refused.ended) == (login_url, "login_required", None)
    assert refused.response.cookies == ()
    assert refused.response.shorter == "/xwms/auth"
    assert refused.error.cause == "there is no session"


@pytest.mark.parametrize(
    ("current", "login_url"),
    [
        ("https://app.example/list?page=2", "/xwms/auth?next=/list%3Fpage%3D2"),
        ("https://front.example/list", "/xwms/auth?next=https%3A//front.example/list"),
        ("https://app.example", "/xwms/auth?next=/page%3Fa%3D1"),
        ("https://app.example.evil.example/", "/xwms/auth?next=/page%3Fa%3D1"),
        ("https://front.example.evil.example/", "/xwms/auth?next=/page%3Fa%3D1"),
        ("https://evil.example/", "/xwms/auth?next=/page%3Fa%3D1"),
        ("", "/xwms/auth?next=/page%3Fa%3D1"),
        (None, "/xwms/auth?next=/page%3Fa%3D1"),
    ],
)
def test_htmx_is_led_back_to_the_page_that_asked_if_it_is_one_of_this_site(current, login_url):
    refused = denied(Known(), asked(HTMX if current is None else {**HTMX, "hx-current-url": current}))
    assert refused.response.status == 401
    assert dict(refused.response.headers)["HX-Redirect"] == refused.login_url == login_url


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-mode": "cors", "accept": "text/html"}])
def test_a_program_and_a_service_worker_get_an_answer_that_leads_nowhere_by_itself(headers):
    refused = denied(Known(ended=EndReason.REVOKED), asked(headers))
    assert (refused.response.status, location(refused)) == (401, None)
    assert (refused.login_url, refused.ended) == ("/xwms/auth?next=/page%3Fa%3D1", EndReason.REVOKED)
    assert '"reason": "session_revoked"' in refused.response.body
    assert str(EndReason.REVOKED) in refused.error.cause
    assert refused.response.shorter == "/xwms/auth"


def test_a_worker_that_fetches_a_page_for_a_person_gets_a_page_and_no_redirect():
    headers = {"sec-fetch-mode": "cors", "upgrade-insecure-requests": "1"}
    refused = denied(Known(), asked(headers))
    assert (refused.response.status, location(refused)) == (401, None)
    assert refused.response.body.startswith("<!doctype html>")


def test_a_login_has_the_parameters_that_the_page_asks_for():
    refused = denied(Known(), query=lambda: (("prompt", "login"),))
    assert location(refused) == "/xwms/auth?next=/page%3Fa%3D1&prompt=login"
    assert refused.response.shorter == "/xwms/auth?prompt=login"


AHEAD = AheadSession(seconds=90, note="xwms_ahead=1", is_second=False)


def test_a_session_from_the_future_is_noted_and_logs_in_again_once():
    """A second one is of a machine whose clock is wrong: another login would go round in a circle."""
    first = denied(Known(ahead=AHEAD))
    assert (first.response.status, first.response.cookies) == (302, ("xwms_ahead=1",))
    program = denied(Known(ahead=AHEAD), asked({}))
    assert (program.response.status, program.response.cookies) == (401, ("xwms_ahead=1",))
    second = denied(Known(ahead=AHEAD._replace(is_second=True)))
    assert (second.response.status, second.code, second.login_url) == (503, "clock_skew", None)
    assert second.response.cookies == ()
    assert "90" in second.error.cause


# Somebody.


def test_whoever_is_signed_in_sees_a_page_that_requires_no_more():
    assert denied(Known(session())) is None


@pytest.mark.parametrize(("age", "is_met"), [(0, True), (300, True), (301, False)])
def test_a_page_that_wants_a_recent_login_asks_for_another_and_tells_no_end(age, is_met):
    found = Known(session(at=NOW - age), ended=EndReason.IDLE)
    for headers, status in ((PERSON, 302), ({}, 401)):
        refused = denied(found, asked(headers), requirement=LoginRequirement(fresh=300), query=lambda: (("a", "b"),))
        assert (refused is None) is is_met
        if refused is not None:
            url = "/xwms/auth?next=/page%3Fa%3D1&fresh=300&a=b"
            assert (refused.response.status, refused.code, refused.ended) == (status, "login_too_old", None)
            assert refused.login_url == url
            assert refused.response.shorter == "/xwms/auth?fresh=300&a=b"
            assert '"reason"' not in refused.response.body


@pytest.mark.parametrize(
    ("scope", "cause"),
    [
        (("a", "b"), None),
        (("a",), "not granted at this login"),
        ((), "not granted at this login"),
        (None, "fit into the cookie"),
    ],
)
def test_a_scope_that_was_not_granted_refuses_a_page_and_says_why(scope, cause):
    refused = denied(Known(session(scope=scope)), requirement=LoginRequirement(scopes=frozenset({"a", "b"})))
    if cause is None:
        assert refused is None
        return
    assert isinstance(refused.error, NotApproved)
    assert refused.error.cause.endswith(cause)
    assert (refused.response.status, refused.login_url) == (403, None)


@pytest.mark.parametrize(
    ("claims", "domains", "cause"),
    [
        ({"email": "a@b.example", "email_verified": True}, (), None),
        ({"email": "a@b.example", "email_verified": True}, ("b.example",), None),
        ({"email": "a@b.example", "email_verified": True}, ("c.example",), "another domain"),
        ({"email": "a@b.example"}, (), "no verified e-mail address"),
        ({"email": "a@b.example"}, ("b.example",), "no verified e-mail address"),
        ({}, (), "no known e-mail address"),
    ],
)
def test_an_address_that_is_not_as_required_refuses_a_page_and_says_why(claims, domains, cause):
    requirement = LoginRequirement(verified_email=True, domains=frozenset(domains))
    refused = denied(Known(session(**claims)), requirement=requirement)
    if cause is None:
        assert refused is None
        return
    assert isinstance(refused.error, NotAllowed)
    assert refused.error.cause.endswith(cause)
    assert "b.example" not in refused.error.cause
    assert (refused.response.status, refused.login_url) == (403, None)


@pytest.mark.parametrize(
    ("required", "has", "is_met"),
    [((), (), True), (("a", "b"), ("b",), True), (("a", "b"), ("c",), False), (("a",), (), False)],
)
def test_one_of_the_roles_is_enough_and_they_are_looked_up_only_if_one_is_required(required, has, is_met):
    looked_up = []

    def roles():
        looked_up.append(1)
        return frozenset(has)

    refused = denied(Known(session()), requirement=LoginRequirement(roles=frozenset(required)), roles=roles)
    assert (refused is None) is is_met
    assert len(looked_up) == bool(required)
    if refused is not None:
        assert isinstance(refused.error, NotAllowed)
        assert refused.error.cause.endswith(" ".join(sorted(required)))
        assert refused.response.status == 403


def test_a_store_that_is_down_is_an_error_and_no_login():
    """What is unknown must not look like signed out."""

    def lookup():
        raise StoreUnavailable("no answer")

    refused = unless_signed_in(CONFIG, lookup, asked, now=NOW)
    assert (refused.response.status, refused.code, refused.login_url) == (503, "store_unavailable", None)


# Errors that the application did not catch.


@pytest.mark.parametrize(("age", "status"), [(0, 401), (30, 401), (31, 302), (3600, 302)])
def test_a_session_without_a_usable_token_logs_in_again_but_not_right_after_a_login(age, status):
    found = Known(session(at=NOW - age))
    refused = for_failure(CONFIG, asked(), LoginRequired("no token"), found=found, now=NOW)
    assert refused.response.status == status
    assert location(refused) == ("/xwms/auth?next=/page%3Fa%3D1&fresh=30" if status == 302 else None)
    assert refused.code == ("login_too_old" if status == 302 else "login_required")


def test_an_error_that_a_login_mends_leads_nobody_to_the_login_and_another_to_its_page():
    nobody = for_failure(CONFIG, asked(), LoginRequired("nobody"), found=Known(), now=NOW)
    assert (nobody.response.status, location(nobody)) == (302, "/xwms/auth?next=/page%3Fa%3D1")
    other = for_failure(CONFIG, asked(), NotApproved("no scope"), found=Known(), now=NOW)
    assert (other.response.status, other.code, location(other)) == (403, "not_approved", None)


# An account that is blocked or gone.


def test_whose_account_is_gone_is_nobody_and_whose_is_blocked_is_refused_and_both_lose_the_cookie():
    gone = without_account(
        CONFIG, asked(), LoginRequired("there is no account any more"), found=Known(ahead=AHEAD), cookie="deleted"
    )
    assert (gone.response.status, location(gone)) == (302, "/xwms/auth?next=/page%3Fa%3D1")
    assert gone.response.cookies == ("xwms_ahead=1", "deleted")
    blocked = without_account(CONFIG, asked(), NotAllowed("blocked"), found=Known(), cookie="deleted")
    assert (blocked.response.status, blocked.code, blocked.login_url) == (403, "not_allowed", None)
    assert blocked.response.cookies == ("deleted",)
