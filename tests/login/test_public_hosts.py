"""Logins at XWMS's own host, which no test server can be: where its pages lead, and where ours may lead."""

import json

import pytest

from tests.tools.site import FROM_ELSEWHERE, FROM_HERE
from xwms_auth import BadAnswer, ConfigError, XWMSConfig
from xwms_auth._core.base.effects import CallXWMS, Runtime, UpstreamResponse
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request
from xwms_auth._core.login import routes
from xwms_auth._core.login.select import provider_of
from xwms_auth.stores.memory import MemoryStore

NOW = 1_800_000_000
OPTIONS = {
    "client_id": "id",
    "client_secret": "secret",
    "redirect_uris": "https://app.example/xwms/validateToken",
    "session_secret": "0123456789abcdefghijklmnopqrstuv",
}


def answer_to(sent, *, url="https://xwms.nl/login", **options):
    """The response to the start of a login. XWMS is played by hand, and names `url` as its sign-in page."""
    context = Context.of(XWMSConfig(**OPTIONS, **options))
    request = Request(method="GET", path="/xwms/auth", headers={name.lower(): value for name, value in sent.items()})
    steps, runtime = routes.serve(context, provider_of(context), request, now=NOW), Runtime(None, MemoryStore())
    data = {"status": "success", "message": "OK", "data": {"token": "sign-token-gave-this", "url": url}}
    ticket = UpstreamResponse(status=200, content_type="application/json", body=json.dumps(data).encode())
    try:
        effect = next(steps)
        while True:
            effect = steps.send(ticket if isinstance(effect, CallXWMS) else effect.perform(runtime))
    except StopIteration as end:
        return end.value


def form_action_of(response):
    policy = dict(response.headers)["Content-Security-Policy"]
    return next(part for part in policy.split("; ") if part.startswith("form-action ")).split()[1:]


def test_the_button_that_starts_a_login_may_lead_to_xwms_and_its_subdomains():
    allowed = form_action_of(answer_to(FROM_ELSEWHERE))
    assert {"https://xwms.nl", "https://*.xwms.nl"} <= set(allowed)


def test_the_button_may_lead_to_the_origins_that_are_named_and_to_no_other_of_xwms():
    allowed = form_action_of(answer_to(FROM_ELSEWHERE, login_origins="https://sign-in.example"))
    assert "https://sign-in.example" in allowed
    assert not any("xwms" in source for source in allowed)


@pytest.mark.parametrize("url", ["https://xwms.nl/login", "https://login.xwms.nl/a"])
def test_a_login_goes_to_a_page_of_xwms(url):
    response = answer_to(FROM_HERE, url=url)
    assert (response.status, dict(response.headers)["Location"]) == (302, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://xwms.nl/login",
        "http://login.xwms.nl/login",
        "https://evil.example/login",
        "https://notxwms.nl/login",
        "https://xwms.nl.evil.example/login",
    ],
)
def test_a_login_goes_to_no_page_in_clear_text_and_to_no_other_host(url):
    response = answer_to(FROM_HERE, url=url)
    assert response.status == BadAnswer.status
    assert "Location" not in dict(response.headers)


@pytest.mark.parametrize(
    "options",
    [
        {"login_path": "/"},
        {"login_path": "/login/"},
        {"session_store": "memory://", "revocation_store": "sqlite:///ended.sqlite3"},
    ],
)
def test_what_could_not_work_is_refused_at_the_start(options):
    with pytest.raises(ConfigError):
        XWMSConfig(**OPTIONS, **options)


def test_a_revocation_store_has_the_methods_of_one():
    from xwms_auth.asgi import XWMSAuthMiddleware

    with pytest.raises(ConfigError, match="revocation_store"):
        XWMSAuthMiddleware(lambda scope, receive, send: None, XWMSConfig(**OPTIONS, revocation_store=object()))
