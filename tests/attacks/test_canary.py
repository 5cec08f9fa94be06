"""SE-03, SE-04, SE-06, UT-13: the client secret is in no byte for a browser and no log line, whatever goes wrong."""

import base64
import logging
from urllib.parse import quote

import flask
import httpx2
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.fake_xwms import CANARY
from tests.tools.faults import FAULTS
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, ME, NAVIGATION, PROGRAM, Site
from xwms_auth import XWMSConfig

SLOW = ("hang", "drip", "flood", "huge")
QUICK_FAULTS = [name for name in FAULTS if not any(word in name for word in SLOW)]


def shapes() -> list[bytes]:
    """The secret as it is, and as code might have dressed it up; halves too, each way round."""
    raw = CANARY.encode()
    half = len(raw) // 2
    encoded = [
        base64.b64encode(raw),
        base64.urlsafe_b64encode(raw),
        raw.hex().encode(),
        quote(CANARY, safe="").encode(),
    ]
    # Base64 of the secret inside something longer: the part of it that does not depend on what stands before.
    inner = [base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in (1, 2)]
    return [raw, raw[:half], raw[half:], raw[::-1], *encoded, *inner]


def assert_clean(*answers: httpx2.Response) -> None:
    for answer in answers:
        heads = b"".join(name + b": " + value + b"\n" for name, value in answer.headers.raw)
        for shape in shapes():
            assert shape not in heads + answer.content


def stories(site):
    """Answers to everything a browser can do here."""
    browser = site.browser()
    answers = [
        browser.get("/"),
        browser.get("/hello"),
        browser.get("/private"),
        browser.get("/who", PROGRAM),
        browser.get(ME, PROGRAM),
        browser.get(LOGIN, FROM_ELSEWHERE),
        browser.get(LOGIN, PROGRAM),
        browser.get(LOGIN),
        browser.post(LOGIN),
        browser.get(CALLBACK),
        browser.get(CALLBACK, params={"token": "x"}),
        browser.get(CALLBACK, params={"token": "a-token-of-nobody"}),
        browser.client.request("PUT", LOGIN, headers=PROGRAM),
        browser.post(LOGOUT, FROM_ELSEWHERE),
    ]
    for reader in (NAVIGATION, PROGRAM):
        started = browser.get(LOGIN)
        if started.status_code == 302:
            token = site.fx.approve(started.headers["location"].rpartition("/")[2])
            answers += [started, browser.come_back(token, {**FROM_ELSEWHERE, **reader})]
    return [*answers, browser.get("/hello"), browser.get(ME, PROGRAM), browser.log_out()]


def test_no_answer_of_a_login_that_works_holds_the_secret(make_site, caplog):
    """SE-03, SE-04"""
    caplog.set_level(logging.DEBUG)
    for mode in ("same", "fresh"):
        answers = stories(make_site(mode))
        assert {answer.status_code for answer in answers} >= {200, 302, 303, 400, 401, 403, 405}
        assert_clean(*answers)
    assert not any(shape.decode() in caplog.text for shape in shapes())
    assert "login_finished" in caplog.text


def test_no_answer_holds_the_secret_when_xwms_misbehaves(edge, make_fx, subtests, caplog):
    """SE-03, SE-04: some of these faults send our own headers back. Each call at one edge."""
    caplog.set_level(logging.DEBUG)
    fx = make_fx()
    call = "sign-token" if edge == "asgi" else "sign-token-verify"
    for fault in QUICK_FAULTS:
        with subtests.test(fault):
            # Only one of them makes anybody wait.
            site = Site(edge, fx, timeout=0.2 if fault == "body never ends" else 2)
            fx.answer(call, fault)
            assert_clean(*stories(site))
            fx.answer(call)
    assert not any(shape.decode() in caplog.text for shape in shapes())


def debug_flask(config):
    app = flask.Flask(__name__)
    app.config.update(DEBUG=True, TESTING=False, PROPAGATE_EXCEPTIONS=False)

    @app.get("/boom")
    @xwms_auth.flask.login_required
    def boom():
        held = (config, xwms_auth.flask.current_user)
        raise RuntimeError(f"an error of the application: {held}")

    xwms_auth.flask.XWMSAuth(app, config)
    return httpx2.Client(
        transport=httpx2.WSGITransport(app, raise_app_exceptions=False), base_url="https://app.example"
    )


def debug_starlette(config):
    async def boom(request):
        held = (config, request.user)
        raise RuntimeError(f"an error of the application: {held}")

    app = Starlette(debug=True, routes=[Route("/boom", xwms_auth.starlette.login_required(boom))])
    app.add_middleware(xwms_auth.starlette.XWMSAuthMiddleware, config=config)
    return TestClient(app, base_url="https://app.example", follow_redirects=False, raise_server_exceptions=False)


def test_a_frameworks_debug_page_does_not_show_the_secret(edge, make_fx):
    """SE-06"""
    fx = make_fx()
    config = XWMSConfig(**fx.options(redirect_uris="https://app.example/xwms/validateToken"))
    client = debug_flask(config) if edge == "flask" else debug_starlette(config)
    location = client.get(LOGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2])
    assert client.get(CALLBACK, params={"token": token}, headers=FROM_ELSEWHERE).status_code == 303
    failed = client.get("/boom", headers=NAVIGATION)
    assert failed.status_code == 500
    assert_clean(failed)
    fx.answer("sign-token", "500 html")
    client.cookies.clear()
    fault = client.get(LOGIN, headers=FROM_HERE)
    assert fault.status_code == 502
    assert "Traceback" not in fault.text
    assert_clean(fault)


def test_the_picture_is_passed_on_and_never_fetched(site, browser):
    """UT-13"""
    sink = f"http://{site.fx.sink_host}/me.png"
    browser.log_in(picture=sink)
    for path in ("/", "/hello", "/private"):
        browser.get(path)
    assert browser.get(ME, PROGRAM).json()["user"]["picture"] == sink
    assert site.fx.sink.connections == 0
