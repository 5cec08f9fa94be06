"""The client secret leaves in one header for one origin; no person, log or crash report ever sees it."""

import base64
import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.tools.clients import Client, both, info, sign, verify
from tests.tools.fake_xwms import CANARY, REDIRECT_URI, FakeXWMS, outcomes
from tests.tools.faults import FAULTS, Reply, redirect, refusal
from xwms_auth import AsyncXWMSClient, ConfigError, Secret, XWMSClient, XWMSConfig, XWMSError

TOKEN = "canary-token-0123456789"
SESSION_SECRET = "canary-session-secret-0123456789-abcdef"
TESTS = str(Path(__file__).parents[1])


def config(fx: FakeXWMS, **changes: object) -> XWMSConfig:
    return XWMSConfig(**fx.options(session_secret=SESSION_SECRET, **changes))


QUESTIONS = {"info": info, "sign-token": sign, "sign-token-verify": verify(TOKEN)}


def spellings(secret: str) -> set[str]:
    """The secret as it might turn up: plain, escaped, base64 at each offset, hex, URL-encoded, halved, reversed."""
    raw = secret.encode()
    shifted = {base64.b64encode(b"." * shift + raw).decode()[4:-4] for shift in range(3)}
    halves = {secret[: len(secret) // 2], secret[len(secret) // 2 :]}
    encoded = {quote(secret, safe=""), quote_plus(secret), raw.hex(), raw.hex().upper(), secret[::-1]}
    return {secret, *shifted, *halves, *encoded, json.dumps(secret)[1:-1]}


def assert_clean(text: str) -> None:
    found = {spelling for secret in (CANARY, SESSION_SECRET) for spelling in spellings(secret) if spelling in text}
    assert not found, text


def shown(error: BaseException) -> str:
    """All a crash reporter would take from an error and its causes; the locals of these tests themselves left out."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        waiting += [one.__cause__, one.__context__]
    parts: list[str] = []
    for one in seen:
        report = traceback.TracebackException.from_exception(one, capture_locals=True)
        parts += [str(one), repr(one), repr(one.args), repr(vars(one)), *report.format_exception_only()]
        for frame in report.stack:
            if not frame.filename.startswith(TESTS):
                parts += [frame.filename, str(frame.line), repr(frame.locals)]
    return "\n".join(parts)


# Faults that end at the deadline only. They end alike for every call, so the other calls meet the first one only.
WAITING = ["hang", *(fault for fault in FAULTS if fault.startswith("drip")), "body never ends", "consume then hang"]


@both
@pytest.mark.parametrize("call", QUESTIONS)
def test_no_fault_of_xwms_shows_the_secret_in_a_traceback_with_locals_or_a_log(
    fx: FakeXWMS, client: Client, call: str, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
):
    """SE-04, SE-05, LP-01"""
    caplog.set_level(logging.DEBUG)
    with FakeXWMS() as gone:
        closed = gone.api_url
    addresses = {"refused": closed, "not tls": fx.api_url.replace("http:", "https:")}
    left_out = [] if call == "sign-token-verify" else WAITING[1:]
    for fault in [one for one in (*FAULTS, "redirect", *addresses) if one not in left_out]:
        caplog.clear()
        settings = config(fx, timeout=0.2, api_url=addresses.get(fault, fx.api_url))
        if fault not in addresses:
            fx.answer(call, redirect(307) if fault == "redirect" else fault)
        (outcome,) = outcomes(client, settings, QUESTIONS[call])
        with subtests.test(fault):
            assert_clean(caplog.text + repr([vars(record) for record in caplog.records]))
            assert TOKEN not in caplog.text
            assert_outcome_is_clean(outcome)
            assert fx.sink.connections == 0


def assert_outcome_is_clean(outcome: object) -> None:
    """An error of ours that leads a crash reporter nowhere, or an answer without a secret."""
    if not isinstance(outcome, BaseException):
        assert_clean(repr(outcome))
        return
    assert isinstance(outcome, XWMSError)
    assert_clean(shown(outcome))
    assert not hasattr(outcome, "request")
    assert outcome.__cause__ is None
    # A chain to the library's error would lead a reporter to the request and its headers.
    assert outcome.__context__ is None


@both
def test_a_good_call_leaves_neither_secret_nor_token_in_the_log(
    fx: FakeXWMS, client: Client, caplog: pytest.LogCaptureFixture
):
    """SE-04, LP-01"""
    caplog.set_level(logging.DEBUG)
    token = fx.approve()
    ticket, person = outcomes(client, config(fx), sign, lambda c: c.verify_token(token, REDIRECT_URI))
    assert person.sub == "xwms-user-1234"
    said = caplog.text + repr([vars(record) for record in caplog.records])
    assert_clean(said)
    assert token not in said
    assert ticket.token not in said


REFUSED_WITH = [
    "{}",
    "secret {} is wrong",
    "bad:{}",
    '"{}"',
    "a\n{}\n",
    "{}" * 9,
    "x" * 190 + "{}",
    "(X-Client-Secret={})",
]


def quoting(secret: str, message: str, http: int) -> Reply:
    return refusal(http, message.replace("{}", secret))


@both
def test_a_refusal_that_quotes_the_secret_is_redacted_in_the_error(fx: FakeXWMS, client: Client):
    """SE-04: the text of an error is for the log, whatever the secret looks like."""
    for secret in (CANARY, "abcdefghijklmnop-qr", "short-secret", "justalphabeticletters"):
        replies = [quoting(secret, message, http) for message in REFUSED_WITH for http in (401, 422, 500)]
        fx.answer("sign-token", *replies)
        errors = outcomes(client, config(fx, client_secret=secret), *[sign] * len(replies))
        said = [f"{error} {error!r} {error.args} {vars(error)}" for error in errors]
        assert [text for text in said if secret in text] == []


@both
def test_a_refusal_that_quotes_the_token_is_redacted_in_the_error(fx: FakeXWMS, client: Client):
    """LP-01"""
    replies = [quoting(TOKEN, message, http) for message in REFUSED_WITH for http in (401, 422, 500)]
    fx.answer("sign-token-verify", *replies)
    errors = outcomes(client, config(fx), *[verify(TOKEN)] * len(replies))
    said = [f"{error} {error!r} {error.args} {vars(error)}" for error in errors]
    assert [text for text in said if TOKEN in text] == []


# --- SE-07: a secret that cannot travel ------------------------------------------------------------------------------

BAD_ENDS = [
    "{}\n",
    "{}\r\n",
    "{} ",
    " {}",
    "\t{}",
    "{}\x00",
    "{}\r\nX-Evil: 1",
    "{}\u00e9",
    "{}\u2028",
    "{}\ud800",
    "\ufeff{}",
]


START: dict[str, Callable[[str], XWMSConfig]] = {
    "text": lambda s: XWMSConfig(client_id="c", client_secret=s, redirect_uris=REDIRECT_URI),
    "secret": lambda s: XWMSConfig(client_id="c", client_secret=Secret(s), redirect_uris=REDIRECT_URI),
    "environment": lambda s: XWMSConfig.from_env(
        {"XWMS_CLIENT_ID": "c", "XWMS_CLIENT_SECRET": s, "XWMS_REDIRECT_URI": REDIRECT_URI}
    ),
}


@pytest.mark.parametrize("given", START)
def test_a_secret_that_cannot_be_a_header_is_refused_at_start_without_being_quoted(given: str):
    """SE-07"""
    for shape in BAD_ENDS:
        with pytest.raises(ConfigError) as caught:
            START[given](shape.format(CANARY))
        assert_clean(shown(caught.value))
        assert any("secret" in problem.lower() for problem in caught.value.problems), shape


@both
def test_a_fetched_secret_that_cannot_be_a_header_is_an_error_of_ours_and_nothing_is_sent(fx: FakeXWMS, client: Client):
    """SE-07"""
    for shape in BAD_ENDS:
        secret = shape.format(CANARY)
        (error,) = outcomes(client, config(fx, client_secret=lambda secret=secret: secret), sign)
        assert isinstance(error, XWMSError), shape
        assert_clean(shown(error))
    assert fx.requests == []


def test_a_secret_file_may_end_in_one_newline(fx: FakeXWMS, tmp_path: Path):
    """SE-07"""
    file = tmp_path / "secret"
    file.write_text(CANARY + "\n")
    environ = {"XWMS_CLIENT_ID": "c", "XWMS_CLIENT_SECRET_FILE": str(file), "XWMS_REDIRECT_URI": REDIRECT_URI}
    settings = XWMSConfig.from_env({**environ, "XWMS_API_URI": fx.api_url})
    outcomes(XWMSClient, settings, sign)
    assert [request.all("X-Client-Secret") for request in fx.requests] == [[CANARY]]
    file.write_text("new-secret\n")
    outcomes(XWMSClient, settings, sign)
    assert fx.requests[-1].all("X-Client-Secret") == ["new-secret"]


# --- SE-08: what can be done with an object ------------------------------------------------------------------------


def attempt(use: Callable[[Any], Any], value: Any) -> str:
    """What came out, or the words of the refusal: both must be clean."""
    try:
        result = use(value)
    except (TypeError, AttributeError, ValueError, pickle.PicklingError) as error:
        return f"{error} {error!r}"
    return result.decode("latin-1") if isinstance(result, bytes) else f"{result!r} {result!s}"


USES: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "format": lambda value: f"{value} {value!r:>50}",
    "vars": vars,
    "dict": lambda value: value.__dict__,
    "dir": lambda value: {name: getattr(value, name) for name in dir(value) if not name.startswith("__")},
    "asdict": dataclasses.asdict,
    "astuple": dataclasses.astuple,
    "json": json.dumps,
    "json of vars": lambda value: json.dumps(value, default=vars),
    "json of str": lambda value: json.dumps(value, default=str),
    "json of asdict": lambda value: json.dumps(dataclasses.asdict(value), default=repr),
    **{f"pickle {p}": (lambda value, p=p: pickle.dumps(value, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "reduce": lambda value: value.__reduce_ex__(4),
    "getstate": lambda value: value.__getstate__(),
    "replace": lambda value: dataclasses.replace(value, domain="app.example"),
}


@pytest.mark.parametrize("kind", ["config", "config with callable", "secret", "source", "sync", "async"])
def test_nothing_one_can_do_with_an_object_that_holds_the_secret_shows_it(
    fx: FakeXWMS, kind: str, subtests: pytest.Subtests
):
    """SE-08"""
    settings = config(fx)
    made: dict[str, Callable[[], Any]] = {
        "config": lambda: settings,
        "config with callable": lambda: config(fx, client_secret=lambda: CANARY),
        "secret": lambda: Secret(CANARY),
        "source": lambda: settings.secret_source,
        "sync": lambda: XWMSClient(settings),
        "async": lambda: AsyncXWMSClient(settings),
    }
    for name, use in USES.items():
        with subtests.test(name):
            assert_clean(attempt(use, made[kind]()))


# --- SE-10: only https ---------------------------------------------------------------------------------------------

PLAIN = [
    "http://xwms.nl/api/",
    "HTTP://xwms.nl/api/",
    "http://xwms.nl:443/api/",
    "http://10.0.0.1/api/",
    "http://192.168.1.10/api/",
    "http://0.0.0.0/api/",
    "http://[::]/api/",
    "http://localhost.evil.example/api/",
    "http://127.0.0.1.evil.example/api/",
    "http://localhost@evil.example/api/",
    "http://evil.example#localhost/api/",
    "http://evil.example\\@localhost/api/",
    "http://2130706433/api/",
    "http://0x7f.1/api/",
    "http://127.1/api/",
    "ftp://xwms.nl/api/",
    "file:///etc/passwd",
    "unix:///run/xwms.sock",
    "ws://xwms.nl/api/",
    "//xwms.nl/api/",
    "xwms.nl/api/",
    "/api/",
    "https:/xwms.nl/api/",
    "https:///api/",
    "https://joe:hunter2@xwms.nl/api/",
    "https://xwms.nl/api/?x=1",
    "https://xwms.nl/api/#x",
    "https://xwms.nl/api/\r\nX-Evil: 1",
    "https://xwms.nl/a b/",
    " https://xwms.nl/api/",
    "https://xwms.nl:0/api/",
    "https://xwms.nl:99999/api/",
]


def test_the_secret_goes_nowhere_without_tls_or_to_no_clear_address(fx: FakeXWMS, subtests: pytest.Subtests):
    """SE-10"""
    for address in PLAIN:
        with subtests.test(address):
            with pytest.raises(ConfigError) as caught:
                config(fx, api_url=address)
            assert "hunter2" not in str(caught.value)
            assert_clean(shown(caught.value))


def test_loopback_needs_no_tls(fx: FakeXWMS):
    """SE-10"""
    for host in ("localhost:8800", "127.0.0.1:8800", "[::1]:8800"):
        assert config(fx, api_url=f"http://{host}/api/").api_url == f"http://{host}/api/"


def test_https_to_a_server_without_tls_sends_it_no_secret(fx: FakeXWMS):
    """SE-10, SE-11"""
    (error,) = outcomes(XWMSClient, config(fx, timeout=0.5, api_url=fx.api_url.replace("http:", "https:")), sign)
    assert isinstance(error, XWMSError)
    assert fx.requests == []
