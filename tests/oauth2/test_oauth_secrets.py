"""The client secret, codes and tokens: in no byte for a browser, no log and no crash report (SE-03 to SE-05)."""

import base64
import json
import re
import traceback
from itertools import product
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.oauth2.fake_as import JWKS, TOKEN, USERINFO
from tests.oauth2.steps import begin, log_in
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.faults import FAULTS
from tests.tools.site import CALLBACK, FROM_ELSEWHERE
from xwms_auth import APIError, Secret, Unreachable, XWMSConfig
from xwms_auth._core.base.crypto.sealing import Sealed
from xwms_auth._core.base.crypto.signing import Signed
from xwms_auth._core.base.effects import OAuthCall, Runtime, UpstreamResponse, run
from xwms_auth._core.config.credentials import send_as_client
from xwms_auth._core.io.transport import HTTPTransport
from xwms_auth._core.oauth2.endpoints import read_revoked, read_tokens
from xwms_auth.stores import MemoryStore

TESTS = str(Path(__file__).parents[1])
BASIC = base64.b64encode(f"{CLIENT_ID}:{quote_plus(CANARY)}".encode()).decode()
METHODS = ("client_secret_basic", "client_secret_post")


def assert_clean(text: str, *more: str) -> None:
    for secret in (CANARY, quote_plus(CANARY), BASIC, base64.b64encode(CANARY.encode()).decode(), *more):
        assert secret not in text


@pytest.mark.parametrize("client_auth", METHODS)
def test_se_03_no_fault_of_an_endpoint_brings_a_secret_to_a_browser_or_a_log(make_site, server, caught, client_auth):
    """SE-03, SE-04: not even a server that repeats our own request in its error, in debug mode."""
    server.tokens = {"access_token": "the-access-token", "refresh_token": "the-refresh-token"}
    server.claims = {"at_hash": None}
    for path, fault in product(
        (TOKEN, USERINFO, JWKS), ("echo in error", "500 html", "reset", "truncated", "not http")
    ):
        server.answer(path, fault)
        browser = make_site(client_auth=client_auth, debug=True).browser()
        query = server.consent(begin(browser))
        answer = browser.get(CALLBACK, FROM_ELSEWHERE, params=query)
        assert answer.status_code >= 400, (path, fault)
        verifier = server.forms()[-1]["code_verifier"]
        secrets = (verifier, query["code"], "the-access-token", "the-refresh-token")
        assert_clean(answer.text + str(answer.headers) + str(browser.cookies()) + caught(), *secrets)
        server.answer(path)


def test_se_03_a_login_that_works_brings_no_token_to_the_browser(browser, server, caught):
    """SE-03, SE-04"""
    server.tokens = {"access_token": "the-access-token", "refresh_token": "the-refresh-token"}
    server.claims = {"at_hash": None}
    answer = log_in(browser, server)
    seen = answer.text + str(answer.headers) + browser.get("/xwms/me").text + caught()
    for value in browser.cookies().values():
        seen += base64.urlsafe_b64decode(value.split(".")[0] + "===").decode("latin-1")
    assert_clean(seen, "the-access-token", "the-refresh-token")
    # Random text may begin like a JWT, but has no dots.
    assert re.search(r"eyJ[\w-]+\.", seen) is None


def crash_report(error: BaseException) -> str:
    """What a crash reporter records of an error: every local variable of every frame but the tests' own."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = "".join(report.format()).split("  File ")
    return "".join(frame for frame in frames if TESTS not in frame.partition("\n")[0])


def test_se_05_a_crash_report_of_a_failed_call_shows_no_secret(server):
    """SE-05: whichever way the secret goes."""
    failed = 0
    faults = [name for name in FAULTS if not name.startswith(("drip", "other"))]
    for fault, client_auth in product(faults, METHODS):
        server.answer(TOKEN, fault)
        transport = HTTPTransport(XWMSConfig(**server.options(client_auth=client_auth, timeout=0.3)))
        call = OAuthCall(url=server.url + TOKEN, form="code=the-code&code_verifier=the-verifier", secret=Secret(CANARY))
        try:
            transport.send(call)
        except APIError as error:
            failed += 1
            assert_clean(crash_report(error), "the-code", "the-verifier")
        finally:
            transport.close()
        assert "the-code" not in repr(call), fault
    assert failed > 30


def test_se_05_a_crash_report_of_a_secret_that_cannot_be_fetched_shows_none(server, caught):
    """SE-05: and of an access token that was to be shown."""

    def gone() -> str:
        return f"{CANARY}\twith a tab"

    config = XWMSConfig(**server.options(client_secret=gone))
    transport = HTTPTransport(config)
    call = OAuthCall(url=server.url + TOKEN, form="code=the-code")
    with pytest.raises(Unreachable, match="could not be read") as raised:
        run(send_as_client(config, call, read_revoked), Runtime(transport, MemoryStore()))
    assert_clean(crash_report(raised.value), "the-code")
    assert "client_secret_not_read" in caught()
    assert_clean(caught(), "the-code")
    server.answer(USERINFO, "close")
    with pytest.raises(APIError) as failed:
        transport.send(OAuthCall(url=server.url + USERINFO, bearer=Secret("the-access-token")))
    assert_clean(crash_report(failed.value), "the-access-token")


UNWRITABLE = {"a lone surrogate": "\ud800", "no number": float("nan"), "no JSON": object()}


def test_se_05_a_crash_report_of_a_value_that_cannot_be_written_shows_none_of_it():
    """SE-05: the record of a session holds the tokens in clear until it is sealed."""
    keys = [Secret("K3y-for-tests-0123456789-abcdefghij")]
    signed = Signed(keys, purpose="session", audience="tests")
    sealed = Sealed(keys, purpose="session", audience="tests")
    for write in (signed.dumps, sealed.seal_text, sealed.seal):
        for what, odd in UNWRITABLE.items():
            with pytest.raises(ValueError, match="cannot be written") as raised:
                write({"k": ["the-access-token", "the-refresh-token", odd]})
            assert raised.value.__cause__ is raised.value.__context__ is None, what
            assert_clean(crash_report(raised.value), "the-access-token", "the-refresh-token", "K3y-for")


def test_se_05_a_crash_report_of_a_token_answer_that_is_none_shows_no_token():
    """SE-05: a token that cannot be one, for instance because a proxy has put a line break into it."""
    for changes in ({"scope": "\ud800"}, {"refresh_token": "the-refresh-token\n"}, {"id_token": "the-refresh-token "}):
        body = {"access_token": "the-access-token", "token_type": "Bearer", **changes}
        reply = UpstreamResponse(status=200, content_type="application/json", body=json.dumps(body).encode())
        with pytest.raises(APIError) as raised:
            read_tokens(reply, asked=(), now=0)
        assert_clean(crash_report(raised.value), "the-access-token", "the-refresh-token")
