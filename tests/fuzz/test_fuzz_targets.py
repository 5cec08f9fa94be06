"""A short, seeded run of every fuzz target: its seeds, what was found before, and some edits of them by Hypothesis.

The long run is `make fuzz`; docs/fuzzing.md has its figures.
"""

import json
import re
import signal
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.__main__ import targets
from tests.fuzz.engines import Run, feed_by_edits, inputs
from tests.fuzz.judges import documented, stays_here
from tests.fuzz.lines import found_before
from tests.fuzz.targets import Target
from xwms_auth._core.base.strict_json import JSONObject

KNOWN = targets()
SEEDS, EDITS = 60, 25  # of each target: some seconds in all


@pytest.mark.parametrize("name", KNOWN)
def test_no_seed_and_no_edit_of_one_contradicts_the_oracle(name):
    target = KNOWN[name]
    found = list(dict.fromkeys(target.seeds()))
    for data in found[:: max(1, len(found) // SEEDS)]:
        target.run(data)

    @seed(20_261_128)
    @settings(max_examples=EDITS, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def run(data: bytes) -> None:
        for value in target.variants(data):
            target.run(value)

    run()


@pytest.mark.parametrize("name", KNOWN)
def test_what_was_found_once_is_not_found_again(name):
    for data in found_before(name):
        KNOWN[name].run(data)


def first_of_two(header, name):
    return next((part.strip().partition("=")[2] for part in header.split(";") if part.strip().startswith(name)), None)


def first_uri(context, host):
    return context.config.registered[0]


def last_key_counts(data):
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return JSONObject(found) if isinstance(found, dict) else None


@pytest.mark.parametrize(
    ("name", "place", "weaker"),
    [
        ("next_rule", "tests.fuzz.targets.next_urls.safe_next", lambda value, **_: value),
        ("redirect_uri", "xwms_auth._core.http.urls.is_loopback", lambda host: True),
        ("login_page", "tests.fuzz.targets.urls.login_url_fault", lambda url, **_: None),
        ("session_lookup", "xwms_auth._core.sessions.lookup.read_cookie", first_of_two),
        ("session_cookie", "xwms_auth._core.sessions.lookup.read_cookie", first_of_two),
        ("callback_query", "xwms_auth._core.providers.sign_token.is_plausible_token", lambda token: True),
        ("strict_json", "tests.fuzz.targets.upstream.parse_json_object", last_key_counts),
        ("envelope_of_verify", "xwms_auth._core.base.effects.parse_json_object", last_key_counts),
        ("id_token", "xwms_auth._core.oauth2.id_token.SKEW", 600),
        ("logout_token", "xwms_auth._core.oauth2.logout_token.check_audience", lambda *_, **__: None),
        ("next_at_doors", "xwms_auth._core.config.context.safe_next", lambda value, **_: value),
        ("start_answer", "xwms_auth._core.api.login_calls.login_url_fault", lambda url, **_: None),
        ("settings_text", "xwms_auth._core.config.validation.parse_origin", lambda value: None),
        ("login_form", "xwms_auth._core.login.routes.is_own_post", lambda *_: True),
        ("two_clients", "xwms_auth._core.api.resource_calls.require_echo", lambda *_: None),
        ("discovery_document", "xwms_auth._core.config.server.metadata.parse_endpoint", lambda *_, **__: None),
        ("discovery_answer", "xwms_auth._core.config.server.metadata.parse_endpoint", lambda *_, **__: None),
        ("keys_answer", "xwms_auth._core.oauth2.jwt.SignedJWT.keys", lambda self, keys: list(keys)),
        ("access_token", "xwms_auth._core.oauth2.token_validation.SKEW", 600),
        ("introspected_token", "xwms_auth._core.oauth2.token_validation.parse_id", lambda value, name: str(value)),
        ("handshake", "xwms_auth.asgi.is_own_websocket", lambda *_: True),
        ("proxy_headers", "xwms_auth._core.config.context.Context.redirect_uri_for", first_uri),
        ("client_address", "xwms_auth._core.http.client_address.ipaddress.ip_address", IPv6Address),
    ],
)
def test_a_weaker_check_is_found_by_the_seeds_alone(name, place, weaker, monkeypatch):
    """So that no oracle is one that cannot fail."""
    monkeypatch.setattr(place, weaker)
    caught = []
    for data in KNOWN[name].seeds():
        try:
            KNOWN[name].run(data)
        except (AssertionError, ValueError) as error:
            caught.append(error)
            break
    assert caught


def test_a_run_that_is_stopped_says_how_far_it_has_come():
    def stopping(data: bytes) -> None:
        if data == b"b":
            signal.raise_signal(signal.SIGUSR1)

    run = Run(Target(run=stopping, seeds=lambda: [b"a", b"b", b"c"]), most=100)
    before = signal.signal(signal.SIGUSR1, run.stop)
    try:
        feed_by_edits(run, seed=1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (run.result()["values"], run.result()["stopped"]) == (2, True)


def test_every_target_has_its_oracle_in_the_documentation():
    page = Path(__file__).parents[2].joinpath("docs", "fuzzing.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| Target |")
    named = {
        name for row in table.partition("\n\n")[0].splitlines() for name in re.findall("`(\\w+)`", row.split("|")[1])
    }
    assert named == set(KNOWN)


def test_every_file_of_findings_belongs_to_a_target():
    names = {path.stem for path in Path(__file__).with_name("found").glob("*.txt")}
    assert names <= set(KNOWN)


@pytest.mark.parametrize(
    "location",
    [
        "//evil.example",
        "/\\evil.example",
        "http:evil.example",
        "\t//evil.example",
        "/\t/evil.example",
        "\\\\evil.example",
    ],
)
def test_the_judge_of_a_location_knows_what_browsers_do(location):
    assert not stays_here(location)
    assert stays_here("/a?b=//evil.example#//evil.example")


def test_the_judge_of_errors_knows_every_documented_code():
    assert len(documented()) >= 30
    assert json.loads(json.dumps(documented()))["xwms_bad_answer"] == 502
