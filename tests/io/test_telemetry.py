"""Spans and metrics of OpenTelemetry, as its SDK exports them; and nothing of it where it is not installed."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter as SDKCounter
from opentelemetry.sdk.metrics import Histogram as SDKHistogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.oauth2.fake_as import FakeAS
from tests.oauth2.steps import log_in as log_in_by_oauth
from tests.tools.faults import Reply
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, Site
from xwms_auth import XWMSClient, XWMSConfig
from xwms_auth._core.io.operation.telemetry import telemetry
from xwms_auth.accounts import Hooks
from xwms_auth.flask import XWMSAuth

every_door = pytest.mark.parametrize("edge", ["flask", "wsgi", "asgi"])
one_door = pytest.mark.parametrize("edge", ["flask"])


class Exported:
    """What the SDK has exported since the test began."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        # After the package has been imported and its tracer made: a provider may be set at any time.
        trace.set_tracer_provider(provider)
        metrics.set_meter_provider(MeterProvider([self._reader]))
        self._before: dict[tuple[object, ...], float] = {}

    def begin(self) -> None:
        self._spans.clear()
        self._before = self._points()

    def end(self) -> None:
        """Keep no more spans: the provider stays for the life of the process."""
        self._spans.shutdown()

    @property
    def spans(self):
        """The spans of ours, in the order in which they began."""
        found = [span for span in self._spans.get_finished_spans() if span.instrumentation_scope.name == "xwms_auth"]
        return sorted(found, key=lambda span: span.start_time)

    def span(self, name: str):
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def counted(self, metric: str) -> dict[tuple[tuple[str, object], ...], float]:
        """By attributes, how much has been counted."""
        return {
            key[1:]: value - self._before.get(key, 0)
            for key, value in self._points().items()
            if key[0] == metric and value > self._before.get(key, 0)
        }

    def _data(self):
        found = self._reader.get_metrics_data()
        scopes = [scope for resource in found.resource_metrics for scope in resource.scope_metrics] if found else []
        return [metric for scope in scopes if scope.scope.name == "xwms_auth" for metric in scope.metrics]

    def _points(self) -> dict[tuple[object, ...], float]:
        return {
            (metric.name, *sorted(point.attributes.items())): getattr(point, "count", None) or point.value
            for metric in self._data()
            for point in metric.data.data_points
        }

    def histogram(self):
        (metric,) = [metric for metric in self._data() if metric.name == "http.client.request.duration"]
        return metric


@pytest.fixture(scope="module")
def sdk() -> Iterator[Exported]:
    exported = Exported()
    yield exported
    exported.end()


@pytest.fixture
def exported(sdk: Exported) -> Exported:
    sdk.begin()
    return sdk


def parent_of(span) -> int | None:
    return None if span.parent is None else span.parent.span_id


# --- a login ---


@every_door
def test_a_login_is_two_spans_with_a_call_to_xwms_below_each(site, exported):
    browser = site.browser()
    assert browser.log_in(sub="canary-sub", name="Canary", email="canary@example.org").status_code == 303
    assert [(span.name, span.kind) for span in exported.spans] == [
        ("xwms_auth.login_start", SpanKind.INTERNAL),
        ("POST /api/sign-token", SpanKind.CLIENT),
        ("xwms_auth.callback", SpanKind.INTERNAL),
        ("POST /api/sign-token-verify", SpanKind.CLIENT),
    ]
    start, sign, callback, verify = exported.spans
    assert (parent_of(sign), parent_of(verify)) == (start.context.span_id, callback.context.span_id)
    assert (parent_of(start), parent_of(callback)) == (None, None)
    assert dict(start.attributes) == {"xwms_auth.flow": "sign-token", "http.response.status_code": 302}
    assert dict(callback.attributes) == {"xwms_auth.flow": "sign-token", "http.response.status_code": 303}
    host, _, port = site.fx.host.partition(":")
    assert dict(verify.attributes) == {
        "http.request.method": "POST",
        "server.address": host,
        "server.port": int(port),
        "url.template": "/api/sign-token-verify",
        "http.response.status_code": 200,
    }
    assert {span.status.status_code for span in exported.spans} == {StatusCode.UNSET}
    assert exported.counted("xwms_auth.logins") == {(("xwms_auth.flow", "sign-token"),): 1}
    assert exported.counted("xwms_auth.login.failures") == {}
    assert sum(exported.counted("http.client.request.duration").values()) == 2
    browser.log_out()
    assert exported.span("xwms_auth.logout").attributes["http.response.status_code"] == 303


@one_door
def test_the_latency_is_in_seconds_with_buckets_for_seconds(site, exported):
    site.browser().log_in()
    histogram = exported.histogram()
    assert histogram.unit == "s"
    point = histogram.data.data_points[0]
    assert point.explicit_bounds[:3] == (0.005, 0.01, 0.025)
    assert 0 < point.sum < 20


@every_door
def test_a_request_of_somebody_who_is_signed_in_makes_no_span(site, exported):
    browser = site.browser()
    browser.log_in()
    exported.begin()
    for path in ("/hello", "/who", "/", "/xwms/me"):
        assert browser.get(path).status_code == 200
    assert exported.spans == []
    assert exported.counted("xwms_auth.logins") == {}


@every_door
def test_refusals_are_counted_by_their_code_and_a_visitors_is_no_error(site, exported):
    browser = site.browser()
    assert browser.get(CALLBACK, FROM_ELSEWHERE).status_code == 400
    site.fx.answer("sign-token", Reply(status=200, body=b"nonsense"))
    assert browser.get(LOGIN).status_code == 502
    site.fx.answer("sign-token", "reset")
    assert browser.get(LOGIN).status_code == 503
    flow = ("xwms_auth.flow", "sign-token")
    assert exported.counted("xwms_auth.login.failures") == {
        (("error.type", "token_missing"), flow): 1,
        (("error.type", "xwms_bad_answer"), flow): 1,
        (("error.type", "xwms_unreachable"), flow): 1,
    }
    callback, bad, _, down, call = exported.spans
    assert (callback.attributes["error.type"], callback.status.status_code) == ("token_missing", StatusCode.UNSET)
    assert (bad.attributes["error.type"], bad.status.status_code) == ("xwms_bad_answer", StatusCode.ERROR)
    assert (down.attributes["error.type"], down.status.status_code) == ("xwms_unreachable", StatusCode.ERROR)
    assert (call.attributes["error.type"], call.status.status_code) == ("xwms_unreachable", StatusCode.ERROR)
    assert "http.response.status_code" not in call.attributes


@every_door
def test_an_error_that_is_not_ours_is_counted_and_its_text_is_nowhere(make_site, exported, monkeypatch):
    site = make_site()
    token = site.fx.approve(site.browser().start())

    def broken(*_, **__):
        raise RuntimeError(f"canary {token}")

    monkeypatch.setattr("xwms_auth._core.login.callback.PendingLogins.of", broken)
    assert site.browser().come_back(token).status_code == 500
    callback = exported.span("xwms_auth.callback")
    assert callback.attributes["error.type"] == "internal_error"
    assert callback.status.status_code is StatusCode.ERROR
    assert "canary" not in callback.to_json()


@pytest.mark.parametrize("edge", ["flask", "asgi"])
def test_oauth_has_a_span_for_each_endpoint_and_nothing_that_was_sent(edge, exported):
    with FakeAS() as server:
        browser = Site(edge, server, login_params="login_hint").browser()
        browser.get(f"{LOGIN}?login_hint=canary%40example.org")
        answer = log_in_by_oauth(browser, server, sub="canary-sub", name="Canary")
        assert answer.status_code == 303
    names = {span.name for span in exported.spans}
    assert {"POST /token", "GET /userinfo", "xwms_auth.callback"} <= names
    told = "".join(span.to_json() for span in exported.spans)
    assert "canary" not in told
    assert "?" not in "".join(names)
    assert exported.counted("xwms_auth.logins") == {(("xwms_auth.flow", "oauth2"),): 1}


@every_door
def test_no_token_no_state_and_nobody_is_in_a_span_or_a_metric(site, exported):
    browser = site.browser()
    token = site.fx.approve(browser.start("/canary-page"), sub="canary-sub", name="Canary", email="canary@example.org")
    assert browser.come_back(token).status_code == 303
    browser.come_back(token)
    browser.post(LOGOUT, {**FROM_HERE, "Origin": site.origin})
    told = "".join(span.to_json() for span in exported.spans) + str(exported.histogram().to_json())
    for secret in (token, "canary", "Canary", "Bearer", site.fx.options()["client_secret"]):
        assert secret not in told


# --- whose span is whose ---


@one_door
def test_the_applications_code_runs_in_the_span_of_the_login(site, exported):
    seen: list[int] = []
    app = site.app.__class__("hooked")
    hooks = Hooks(login=lambda event: seen.append(trace.get_current_span().get_span_context().span_id))
    XWMSAuth(app, site.config, clock=site.clock, hooks=hooks)
    site.app = app
    assert site.browser().log_in().status_code == 303
    assert seen == [exported.span("xwms_auth.callback").context.span_id]


@pytest.mark.parametrize("edge", ["asgi"])
def test_logins_of_one_event_loop_do_not_mix_their_spans(site, exported):
    tracer = trace.get_tracer("the application's own")

    async def start(client: httpx2.AsyncClient) -> int:
        with tracer.start_as_current_span("request") as span:
            assert (await client.get(LOGIN, headers=dict(FROM_HERE))).status_code == 302
            assert trace.get_current_span() is span
            return span.get_span_context().trace_id

    async def many() -> list[int]:
        transport = httpx2.ASGITransport(site.app)
        async with httpx2.AsyncClient(transport=transport, base_url=site.origin) as client:
            return await asyncio.gather(*(start(client) for _ in range(8)))

    traces = asyncio.run(many())
    assert len(set(traces)) == 8
    for trace_id in traces:
        login, call = [span for span in exported.spans if span.context.trace_id == trace_id]
        assert (login.name, call.name) == ("xwms_auth.login_start", "POST /api/sign-token")
        assert parent_of(call) == login.context.span_id


def test_a_client_of_the_api_has_spans_too(make_fx, exported):
    fx = make_fx()
    with XWMSClient(XWMSConfig(**fx.options())) as client:
        client.info()
    assert exported.span("GET /api/info").attributes["http.response.status_code"] == 200


# --- where it fails ---


class Broken(SpanProcessor):
    """A processor of the application's that fails when spans begin, or when they end."""

    when = ""

    def on_start(self, span, parent_context=None):
        if self.when == "start":
            raise RuntimeError("canary")

    def on_end(self, span):
        if self.when == "end":
            raise RuntimeError("canary")


BROKEN = Broken()


@every_door
@pytest.mark.parametrize("when", ["start", "end", "count"])
def test_telemetry_that_fails_keeps_nobody_from_logging_in(make_site, exported, monkeypatch, caplog, when):
    trace.get_tracer_provider().add_span_processor(BROKEN)
    site = make_site()
    monkeypatch.setattr(BROKEN, "when", when)
    if when == "count":
        for instrument in (SDKCounter, SDKHistogram):
            for method in ("add", "record"):
                monkeypatch.setattr(instrument, method, broken_instrument, raising=False)
    browser = site.browser()
    assert browser.log_in(sub="17").status_code == 303
    assert browser.get("/who").text == "17"
    assert browser.get(CALLBACK, FROM_ELSEWHERE).status_code in (303, 400)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert "canary" not in caplog.text


def broken_instrument(*_, **__):
    raise RuntimeError("canary")


# --- where it is not installed, or too old ---

LOGIN_IN_A_PROCESS = """
import importlib.machinery
import logging
import sys
{change}
logging.basicConfig(stream=sys.stdout)
import flask
from xwms_auth.flask import XWMSAuth
from xwms_auth.testing import local_xwms

with local_xwms() as xwms:
    app = flask.Flask("plain")
    app.secret_key = "K3y-for-tests-0123456789-abcdefghij"
    XWMSAuth(app)
    with app.test_client() as client:
        print(xwms.login(client, sub="1001").sub)
print("opentelemetry.trace" in sys.modules)
"""

NOT_INSTALLED = """
finds = importlib.machinery.PathFinder.find_spec
def find_spec(name, *rest):
    return None if name.partition(".")[0] == "opentelemetry" else finds(name, *rest)
importlib.machinery.PathFinder.find_spec = find_spec
"""

TOO_OLD = """
import opentelemetry.metrics
class Meter(opentelemetry.metrics.NoOpMeter):
    def create_histogram(self, name, unit="", description=""):
        raise AssertionError
opentelemetry.metrics.get_meter = Meter
"""


def in_a_process(change: str) -> str:
    command = [sys.executable, "-c", LOGIN_IN_A_PROCESS.replace("{change}", change)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_the_package_a_login_is_as_ever_and_nothing_of_it_is_loaded():
    assert in_a_process(NOT_INSTALLED).split() == ["1001", "False"]


def test_a_version_that_lacks_something_turns_telemetry_off_and_nothing_else():
    told = in_a_process(TOO_OLD)
    assert "telemetry_off cause='TypeError at " in told
    assert told.split()[-2:] == ["1001", "True"]


def test_importing_a_door_loads_nothing_of_it():
    for door in ("flask", "wsgi", "asgi", "starlette"):
        code = f"import xwms_auth.{door}, sys; print('opentelemetry' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.split() == ["False"], door


@pytest.mark.parametrize("kind", ["not installed", "too old"])
def test_what_is_not_there_is_off_and_only_what_is_too_old_is_told(monkeypatch, caplog, kind):
    def find(name):
        if kind == "too old":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr("xwms_auth._core.io.operation.telemetry.find_spec", find)
    assert telemetry.__wrapped__() is None
    assert ("telemetry_off cause='ModuleNotFoundError at " in caplog.text) is (kind == "too old")
