"""XWMSConfig from code, environment and mapping; its faults; its secrets: CK-12, CK-18, SE-05, SE-07, SE-08, SE-10."""

import copy
import dataclasses
import json
import logging
import os
import pickle
import pprint
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import flask
import pytest
from corpus.answers import API_URL

from xwms_auth import ConfigError, XWMSConfig
from xwms_auth._core.base.models import Secret
from xwms_auth.flask import XWMSAuth

CANARY = "Canary-9fK2xQ7vB4mT1zLw"
KEY = "r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3"
OLD_KEY = "B5nXc8Vk1TzPq4WsD7gRf2HyLm6JaE9u"
SECRETS = (CANARY, KEY, OLD_KEY)
URI = "https://app.example.com/xwms/validateToken"
REQUIRED = {
    "client_id": "support-desk",
    "client_secret": CANARY,
    "redirect_uris": URI,
    "session_secret": (KEY, OLD_KEY),
}
ENVIRON = {
    "XWMS_CLIENT_ID": "support-desk",
    "XWMS_CLIENT_SECRET": CANARY,
    "XWMS_REDIRECT_URI": URI,
    "XWMS_SESSION_SECRET": f"{KEY} {OLD_KEY}",
}

# The contract's table: field, variable, the text in the environment, the value in code.
TABLE = [
    ("client_id", "XWMS_CLIENT_ID", "other-desk", "other-desk"),
    ("domain", "XWMS_DOMAIN", "desk.example.org", "desk.example.org"),
    ("api_url", "XWMS_API_URI", "https://api.example.org/v1/", "https://api.example.org/v1/"),
    ("session_store", "XWMS_SESSION_STORE", "memory://", "memory://"),
    ("revocation_store", "XWMS_REVOCATION_STORE", "redis://localhost:6379/1", "redis://localhost:6379/1"),
    (
        "sessions_valid_after",
        "XWMS_SESSIONS_VALID_AFTER",
        "2024-02-03T04:05:06+01:00",
        datetime(2024, 2, 3, 3, 5, 6, tzinfo=UTC),
    ),
    ("recheck", "XWMS_RECHECK", "300", timedelta(minutes=5)),
    ("recheck_policy", "XWMS_RECHECK_POLICY", "keep", "keep"),
    ("websocket_recheck", "XWMS_WEBSOCKET_RECHECK", "10", timedelta(seconds=10)),
    ("session_idle", "XWMS_SESSION_IDLE", "600", timedelta(minutes=10)),
    ("session_lifetime", "XWMS_SESSION_LIFETIME", "172800", timedelta(days=2)),
    ("path_prefix", "XWMS_PATH_PREFIX", "/shop", "/shop"),
    ("login_path", "XWMS_LOGIN_PATH", "/login", "/login"),
    ("logout_path", "XWMS_LOGOUT_PATH", "/logout", "/logout"),
    ("me_path", "XWMS_ME_PATH", "/me", "/me"),
    ("backchannel_path", "XWMS_BACKCHANNEL_PATH", "/departed", "/departed"),
    ("id_token_hint", "XWMS_ID_TOKEN_HINT", "1", True),
    ("provider_logout", "XWMS_PROVIDER_LOGOUT", "0", False),
    ("redact_access_logs", "XWMS_REDACT_ACCESS_LOGS", "off", False),
    ("leak_guard", "XWMS_LEAK_GUARD", "on", True),
    ("site_name", "XWMS_SITE_NAME", "Support desk & co", "Support desk & co"),
    ("site_logo", "XWMS_SITE_LOGO", "/static/logo.svg?v=2", "/static/logo.svg?v=2"),
    ("locale", "XWMS_LOCALE", "pt-BR", "pt"),
    ("login_params", "XWMS_LOGIN_PARAMS", "prompt ui_locales", ("prompt", "ui_locales")),
    ("after_login", "XWMS_AFTER_LOGIN", "/welcome", "/welcome"),
    ("after_logout", "XWMS_AFTER_LOGOUT", "/bye?a=b", "/bye?a=b"),
    ("protect", "XWMS_PROTECT", "all", "all"),
    ("public", "XWMS_PUBLIC", "/health /static/*", ("/health", "/static/*")),
    ("callback_token", "XWMS_CALLBACK_TOKEN", "fresh", "fresh"),
    ("login_origins", "XWMS_LOGIN_ORIGINS", "https://id.example.org", ("https://id.example.org",)),
    ("cookie_tag", "XWMS_COOKIE_TAG", "0desk9", "0desk9"),
    ("trusted_origins", "XWMS_TRUSTED_ORIGINS", "https://a.b http://[::1]:5173", ("https://a.b", "http://[::1]:5173")),
    ("timeout", "XWMS_TIMEOUT", "2.5", 2.5),
    ("max_slow_calls", "XWMS_MAX_SLOW_CALLS", "12", 12),
    ("logins_per_address", "XWMS_LOGINS_PER_ADDRESS", "60", 60),
    ("flow", "XWMS_FLOW", "sign-token", "sign-token"),
    (
        "discovery_url",
        "XWMS_DISCOVERY_URL",
        "https://id.example.org/.well-known/openid-configuration",
        "https://id.example.org/.well-known/openid-configuration",
    ),
    ("scopes", "XWMS_SCOPES", "openid email", ("openid", "email")),
    ("client_auth", "XWMS_CLIENT_AUTH", "client_secret_post", "client_secret_post"),
    ("authorization_endpoint", "XWMS_AUTHORIZATION_ENDPOINT", "https://id.example.org/a", "https://id.example.org/a"),
    ("token_endpoint", "XWMS_TOKEN_ENDPOINT", "https://id.example.org/t", "https://id.example.org/t"),
    ("userinfo_endpoint", "XWMS_USERINFO_ENDPOINT", "https://id.example.org/u", "https://id.example.org/u"),
    ("jwks_uri", "XWMS_JWKS_URI", "https://id.example.org/k", "https://id.example.org/k"),
    ("revocation_endpoint", "XWMS_REVOCATION_ENDPOINT", "https://id.example.org/r", "https://id.example.org/r"),
    ("introspection_endpoint", "XWMS_INTROSPECTION_ENDPOINT", "https://id.example.org/i", "https://id.example.org/i"),
    ("end_session_endpoint", "XWMS_END_SESSION_ENDPOINT", "https://id.example.org/e", "https://id.example.org/e"),
    ("token_validation", "XWMS_TOKEN_VALIDATION", "jwt", "jwt"),
    ("introspection_token_type", "XWMS_INTROSPECTION_TOKEN_TYPE", "optional", "optional"),
    ("audience", "XWMS_AUDIENCE", "https://api.example.org", "https://api.example.org"),
    ("confirm_person", "XWMS_CONFIRM_PERSON", "1", True),
    ("debug", "XWMS_DEBUG", "1", True),
    ("allow_missing_settings", "XWMS_ALLOW_MISSING_SETTINGS", "1", True),
]

DEFAULTS = {
    "domain": "app.example.com",
    "api_url": API_URL,
    "session_store": "cookie",
    "revocation_store": "",
    "sessions_valid_after": "",
    "recheck": timedelta(0),
    "recheck_policy": "end",
    "websocket_recheck": timedelta(minutes=1),
    "session_idle": timedelta(days=1),
    "session_lifetime": timedelta(days=7),
    "path_prefix": "",
    "login_path": "/xwms/auth",
    "logout_path": "/xwms/logout",
    "me_path": "/xwms/me",
    "backchannel_path": "/xwms/backchannel-logout",
    "id_token_hint": False,
    "provider_logout": True,
    "redact_access_logs": True,
    "leak_guard": False,
    "site_name": "",
    "site_logo": "",
    "locale": "",
    "after_login": "/",
    "after_logout": "/",
    "protect": "marked",
    "public": (),
    "callback_token": "either",
    "login_origins": (),
    "login_params": ("ui_locales",),
    "trusted_origins": (),
    "cookie_tag": "2560a1c9",
    "timeout": 8,
    "max_slow_calls": 3,
    "logins_per_address": 600,
    "flow": "sign-token",
    "issuer": API_URL,
    "discovery_url": "",
    "scopes": ("openid", "profile", "email"),
    "client_auth": "client_secret_basic",
    "token_endpoint": "",
    "token_validation": "introspection",
    "introspection_token_type": "required",
    "audience": "",
    "confirm_person": False,
    "debug": False,
    "insecure_allow_http": False,
    "allow_missing_settings": False,
}


def configure(**options: object) -> XWMSConfig:
    return XWMSConfig(**{**REQUIRED, **options})


def problems_of(**options: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        configure(**options)
    return raised.value.problems


def assert_no_secret(text: object) -> None:
    shown = str(text)
    for secret in SECRETS:
        for form in (
            secret,
            secret.encode().hex(),
            secret[::-1],
            secret[: len(secret) // 2],
            secret[len(secret) // 2 :],
        ):
            assert form not in shown


def crash_report(act: Callable[[], object]) -> str:
    """What a crash reporter records of the error `act` raises: every local variable of every frame but this file's."""
    try:
        act()
    except Exception as error:  # noqa: BLE001  any kind must be clean
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = "".join(report.format()).split("  File ")
        return "".join(frame for frame in frames if Path(__file__).name not in frame.partition("\n")[0])
    raise AssertionError("nothing was raised")


# Where options come from.


def test_an_option_that_is_not_given_has_its_documented_default() -> None:
    for config in (configure(), XWMSConfig.from_env(ENVIRON)):
        assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS


def test_an_option_is_the_same_from_code_environment_and_mapping() -> None:
    for name, variable, text, value in TABLE:
        in_code = configure(**{name: value})
        from_environment = XWMSConfig.from_env({**ENVIRON, variable: text})
        from_text = XWMSConfig.from_mapping({**ENVIRON, variable: text})
        from_value = XWMSConfig.from_mapping({**ENVIRON, variable: value})
        for config in (in_code, from_environment, from_text, from_value):
            assert getattr(config, name) == value, name


def test_a_name_that_is_nearly_a_setting_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Alone it may be the application's own variable; beside a fault it is one more line of it. No value is shown."""
    with caplog.at_level(logging.WARNING, "xwms_auth"):
        XWMSConfig.from_env({**ENVIRON, "XWMS_SCOPE": CANARY, "XWMS_DESK_COLOUR": "red", "XWMS_AUTH_REQUIRE_ALL": "1"})
    assert "XWMS_SCOPE is not a setting; XWMS_SCOPES is" in caplog.text
    assert "XWMS_DESK" not in caplog.text
    assert "XWMS_AUTH" not in caplog.text
    assert CANARY not in caplog.text
    with pytest.raises(ConfigError) as raised:
        XWMSConfig.from_mapping({**ENVIRON, "XWMS_CLIENT_ID": "", "XWMS_CLIENTID": "x", "XWMS_REDIRECT_URIS": URI})
    assert raised.value.problems[1:] == (
        "XWMS_CLIENTID is not a setting; XWMS_CLIENT_ID is",
        "XWMS_REDIRECT_URIS is not a setting; XWMS_REDIRECT_URI is",
    )


@pytest.mark.parametrize(
    "name", ["XMWS_CLIENT_ID", "WXMS_CLIENT_ID", "XWSM_CLIENTID", "xwms_client_id", "Xwms_Client_Id"]
)
def test_a_prefix_whose_letters_are_mixed_up_is_told(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        XWMSConfig.from_mapping({**ENVIRON, "XWMS_CLIENT_ID": "", name: "x", "XMWS_COLOUR": "", "MS_CLIENT_ID": "x"})
    assert raised.value.problems[1:] == (f"{name} is not a setting; XWMS_CLIENT_ID is",)


def test_a_session_secret_of_development_serves_this_machine_only() -> None:
    """It is derived from a key that stays on a developer's machine."""
    key = "development-only.r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3"
    local = "http://localhost:5000/xwms/validateToken"
    assert problems_of(session_secret=key) == problems_of(session_secret=(KEY, key))
    assert "make one of your own with: xwms-auth secret" in problems_of(session_secret=key)[0]
    assert XWMSConfig(**{**REQUIRED, "session_secret": key, "redirect_uris": local}).session_keys[0].reveal() == key


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_variable_is_as_good_as_none(empty: str | None) -> None:
    for variable in (row[1] for row in TABLE if row[0] != "client_id"):
        config = XWMSConfig.from_mapping({**ENVIRON, variable: empty})
        assert config == XWMSConfig.from_mapping(ENVIRON) or config.domain == DEFAULTS["domain"], variable


def test_every_option_of_the_table_is_a_field_and_every_variable_is_in_the_table() -> None:
    fields = {field.name for field in dataclasses.fields(XWMSConfig) if field.init}
    # What `issuer` is depends on the flow: tests/oauth2/test_oauth_config.py.
    # `pages` are functions: tests/responses/test_own_pages.py.
    assert fields == {row[0] for row in TABLE} | {*REQUIRED, "insecure_allow_http", "issuer", "pages"}


def test_from_env_reads_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("XWMS_")]:
        monkeypatch.delenv(variable)
    for variable, value in {**ENVIRON, "XWMS_LOGIN_PATH": "/signin"}.items():
        monkeypatch.setenv(variable, value)
    assert XWMSConfig.from_env().login_path == "/signin"


def test_variables_that_are_not_ours_are_ignored() -> None:
    assert XWMSConfig.from_mapping({**ENVIRON, "SECRET_KEY": 5, "XWMS_NO_SUCH": "x", "PATH": object()}).client_id


@pytest.mark.parametrize(
    ("older", "newer", "name", "old_value", "new_value"),
    [
        ("XWMS_CLIENT_DOMAIN", "XWMS_DOMAIN", "domain", "old.example.org", "new.example.org"),
        ("XWMS_API_URL", "XWMS_API_URI", "api_url", "https://old.example.org/api/", "https://new.example.org/api/"),
    ],
)
def test_an_older_variable_name_works_and_the_newer_one_wins(
    older: str, newer: str, name: str, old_value: str, new_value: str
) -> None:
    assert getattr(XWMSConfig.from_env({**ENVIRON, older: old_value}), name) == old_value
    assert getattr(XWMSConfig.from_env({**ENVIRON, older: old_value, newer: new_value}), name) == new_value
    assert getattr(XWMSConfig.from_env({**ENVIRON, older: old_value, newer: ""}), name) == old_value


def test_several_redirect_uris_are_separated_by_any_white_space() -> None:
    config = XWMSConfig.from_env({**ENVIRON, "XWMS_REDIRECT_URI": f"  {URI}\n\thttp://localhost:5000/cb  "})
    assert tuple(config.redirect_uris) == (URI, "http://localhost:5000/cb")


def test_redirect_uris_are_one_string_or_a_sequence() -> None:
    for given in (URI, (URI,), [URI]):
        assert tuple(configure(redirect_uris=given).redirect_uris) == (URI,)


def test_ru_04_the_dangerous_variable_has_one_ugly_name_and_reaches_no_public_host() -> None:
    development = {**ENVIRON, "XWMS_REDIRECT_URI": "http://devbox/cb", "XWMS_API_URI": "http://sandbox:8800/api/"}
    for value in ("1", "true", True):
        config = XWMSConfig.from_mapping({**development, "XWMS_INSECURE_ALLOW_HTTP": value})
        assert (config.redirect_uris, config.api_url) == (("http://devbox/cb",), "http://sandbox:8800/api/")
    on = {"XWMS_INSECURE_ALLOW_HTTP": "1"}
    for wrong in (
        {"XWMS_INSECURE_ALLOW_HTTP": "0"},
        {"INSECURE_ALLOW_HTTP": "1", "insecure_allow_http": "1"},
        on | {"XWMS_API_URI": "http://xwms.nl/api/"},
        on | {"XWMS_REDIRECT_URI": "http://app.example/cb"},
        on | {"XWMS_REDIRECT_URI": "https://app.example/cb"},  # left on in production
    ):
        with pytest.raises(ConfigError):
            XWMSConfig.from_mapping({**development, **wrong})


def test_ck_18_the_dangerous_flag_is_a_real_bool() -> None:
    for given in ("yes", 1, "False", None):
        assert problems_of(redirect_uris="http://devbox/cb", insecure_allow_http=given), given


def test_a_config_cannot_be_changed_and_takes_keywords_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        configure().client_id = "other"
    with pytest.raises(TypeError):
        XWMSConfig("support-desk", CANARY, URI)


def test_an_option_can_be_replaced_and_is_judged_again() -> None:
    config = dataclasses.replace(configure(), login_path="/signin")
    assert config.login_path == "/signin"
    assert config.secret_source().reveal() == CANARY
    with pytest.raises(ConfigError):
        dataclasses.replace(configure(), login_path="signin")


# Times.


@pytest.mark.parametrize("name", ["session_idle", "session_lifetime"])
def test_a_session_time_is_a_timedelta_or_seconds(name: str) -> None:
    for given in (timedelta(hours=2), 7_200, 7_200.0):
        assert getattr(configure(**{name: given}), name) == timedelta(hours=2)


def test_the_timeout_is_a_timedelta_or_seconds() -> None:
    for given in (timedelta(seconds=3), 3, 3.0):
        assert configure(timeout=given).timeout == 3


@pytest.mark.parametrize("name", ["session_idle", "session_lifetime", "timeout"])
def test_an_impossible_time_is_a_config_error_that_names_its_option(name: str) -> None:
    beyond_all_floats = 10**400
    seconds = (0, -1, float("nan"), float("inf"), beyond_all_floats)
    for given in (*seconds, timedelta(0), timedelta(seconds=-5), True, None, "soon", []):
        assert any(name in problem for problem in problems_of(**{name: given})), given


@pytest.mark.parametrize("variable", ["XWMS_SESSION_IDLE", "XWMS_SESSION_LIFETIME", "XWMS_TIMEOUT"])
def test_an_impossible_time_in_the_environment_is_a_config_error_that_names_the_variable(variable: str) -> None:
    for text in ("soon", "1 day", "0", "-1", "nan", "inf", "1e999", "0x10", "\u0664\u0662x", "8;"):
        with pytest.raises(ConfigError) as raised:
            XWMSConfig.from_env({**ENVIRON, variable: text})
        assert any(variable in problem for problem in raised.value.problems), text


# Faults.


WRONG_OPTIONS = [
    ("max_slow_calls", 0),
    ("max_slow_calls", -1),
    ("max_slow_calls", 1001),
    ("max_slow_calls", True),
    ("max_slow_calls", "3"),
    ("logins_per_address", -1),
    ("logins_per_address", 9),
    ("logins_per_address", 100_001),
    ("logins_per_address", False),
    ("logins_per_address", "60"),
    ("client_id", ""),
    ("client_id", "a\tb"),
    ("client_id", "a\r\nX-A: b"),
    ("client_id", "caf\u00e9"),
    ("redirect_uris", ()),
    ("domain", "https://app.example.com"),
    ("domain", "app.example.com/x"),
    ("domain", "a\nb"),
    ("path_prefix", "shop"),
    ("path_prefix", "/shop/"),
    ("path_prefix", "//shop"),
    ("login_path", "xwms/auth"),
    ("login_path", "//xwms/auth"),
    ("login_path", "/xwms/../auth"),
    ("login_path", "/xwms/%61uth"),
    ("login_path", "/xwms/auth?a=b"),
    ("login_path", "https://app.example.com/xwms/auth"),
    ("logout_path", "/xwms\\logout"),
    ("me_path", "/xwms/<me>"),
    ("login_path", "/xwms/logout"),
    ("me_path", "/xwms/validateToken"),
    ("after_login", "//evil.example"),
    ("after_login", "https://evil.example"),
    ("after_login", "/\\evil.example"),
    ("after_login", "/xwms/auth"),
    ("after_logout", "/\t/evil.example"),
    ("after_logout", "/xwms/validateToken"),
    ("protect", "none"),
    ("protect", "ALL"),
    ("public", ("health",)),
    ("public", ("/a*",)),
    ("public", ("/*/a",)),
    ("callback_token", "any"),
    ("login_origins", ("https://id.example.org/",)),
    ("login_origins", ("https://*.example.org",)),
    ("login_origins", ("http://id.example.org",)),
    ("login_origins", ("https://a@id.example.org",)),
    ("login_origins", ("null",)),
    ("login_origins", ("*",)),
    ("trusted_origins", ("https://a.example/",)),
    ("trusted_origins", ("https://*.example.org",)),
    ("trusted_origins", ("http://a.example",)),
    ("trusted_origins", ("https://A.example",)),
    ("trusted_origins", ("https://a.example:443",)),
    ("trusted_origins", ("a.example",)),
    ("trusted_origins", ("null",)),
    ("trusted_origins", ("*",)),
    ("trusted_origins", ("",)),
    ("trusted_origins", (1,)),
    ("cookie_tag", "Desk"),
    ("cookie_tag", "a_b"),
    ("cookie_tag", "a-b"),
    ("cookie_tag", "a" * 17),
    ("cookie_tag", "a\n"),
    ("cookie_tag", "\u0661"),
    ("cookie_tag", None),
    ("flow", "password"),
    ("session_store", "cookies"),
    ("session_store", "postgres://localhost/a"),
    ("session_store", "postgresql://localhost/a"),
    ("session_store", "mysql://localhost/a"),
    ("session_store", "postgresql+psycopg://"),
    ("session_store", "postgresql+psycopg:/localhost/a"),
    ("session_store", "postgresql+psycopg://localhost"),
    ("session_store", "postgresql+psycopg://localhost/a b"),
    ("session_store", "oracle+oracledb://localhost/a"),
    ("session_store", "redis://"),
    ("session_store", "redis://localhost:port"),
    ("session_store", "unix://"),
    ("session_store", "redis://localhost/notadb"),
    ("session_store", "redis://localhost/0?db=x"),
    ("session_store", "redis://localhost/0?foo=1"),
    ("session_store", "redis://localhost/0?socket_timeout=abc"),
    ("session_store", "redis://localhost/0?max_connections=1"),
    ("session_store", "redis://localhost/0?decode_responses=True"),
    ("session_store", "redis://localhost/0?ssl_ca_certs=/ca.pem"),
    ("session_store", "rediss://localhost/0?ssl_cert_reqs=none"),
    ("session_store", "rediss://localhost/0?ssl_check_hostname=False"),
    ("session_store", "unix:///run/redis.sock?retry_on_timeout=yes"),
    ("session_store", "redis://localhost/0#1"),
    ("session_store", "sqlite:///:memory:"),
    ("session_store", "sqlite:///no/such/folder/sessions.sqlite3"),
    ("session_store", "sqlite:///"),
    ("session_store", "sqlite:////"),
    ("session_store", f"sqlite:///{'a' * 300}"),
    ("session_store", f"sqlite:////{'a/' * 3000}b"),
    ("session_store", "sqlite:///a\0b"),
    ("session_store", object()),
    ("revocation_store", "cookie"),
    ("revocation_store", object()),
    ("sessions_valid_after", "2024-02-03T04:05:06"),
    ("sessions_valid_after", "2024-02-03"),
    ("sessions_valid_after", "20240203"),
    ("sessions_valid_after", "yesterday"),
    ("sessions_valid_after", "nan"),
    ("sessions_valid_after", "inf"),
    ("sessions_valid_after", "2999-01-01T00:00:00Z"),
    ("sessions_valid_after", time.time() + 1e6),
    ("sessions_valid_after", 1000 * time.time()),
    ("sessions_valid_after", datetime(2024, 2, 3)),  # noqa: DTZ001  that is the fault
    ("sessions_valid_after", True),
    ("sessions_valid_after", None),
    ("recheck", -1),
    ("recheck", 29),
    ("recheck", True),
    ("recheck", timedelta(days=401)),
    ("recheck_policy", "ask"),
    ("websocket_recheck", -1),
    ("websocket_recheck", 0.5),
    ("websocket_recheck", timedelta(days=401)),
    ("login_params", "max_age"),
    ("login_params", ("prompt", "none")),
    ("login_params", "prompt,ui_locales"),
    ("login_params", 5),
]


def test_a_wrong_option_is_one_config_error_that_names_it() -> None:
    for name, given in WRONG_OPTIONS:
        problems = problems_of(**{name: given})
        assert any(name in problem for problem in problems), (name, given)
        assert_no_secret(problems)


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("login_path", "/".ljust(300, "a")),
        ("after_login", "/".ljust(300, "a")),
        ("after_logout", "/".ljust(300, "a")),
        # With a space between two, 1500 characters.
        (
            "login_origins",
            (*(f"https://{'a' * 60}.{number}{'b' * 19}.example" for number in range(15)), "https://a.nl"),
        ),
    ],
)
def test_what_has_to_fit_into_a_response_has_a_longest_value(name: str, longest: str | tuple[str, ...]) -> None:
    if isinstance(longest, tuple):
        room = 1500 - len(" ".join(longest))
        longest = (*longest[:-1], f"https://a{'a' * room}.nl")
        assert len(" ".join(longest)) == 1500
        longer: str | tuple[str, ...] = (*longest[:-1], f"https://a{'a' * (room + 1)}.nl")
    else:
        longer = longest + "a"
    assert getattr(configure(**{name: longest}), name) == longest
    assert any("characters" in problem for problem in problems_of(**{name: longer}))


@pytest.mark.parametrize("missing", ["authlib", "joserfc"])
def test_a_flow_whose_packages_are_missing_is_a_config_error_that_says_how_to_get_them(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "xwms_auth._core.config.validation.find_spec", lambda name: None if name == missing else object()
    )
    assert any("xwms-auth[oauth2]" in problem for problem in problems_of(flow="oauth2", issuer="https://as.example"))
    assert configure(flow="sign-token").flow == "sign-token"


def is_right_kind(name: str, given: object) -> bool:
    """A number is right for seconds, and a callable for the client secret."""
    seconds = name in ("session_idle", "session_lifetime", "websocket_recheck", "timeout")
    return (
        (seconds and isinstance(given, int | float))
        or (name == "max_slow_calls" and isinstance(given, int))
        or (name == "client_secret" and callable(given))
    )


WRONG_KINDS = [
    (field.name, given)
    for field in dataclasses.fields(XWMSConfig)
    for given in (5, 5.5, b"bytes", object, {"a": 1}, [["a"]], [None])
    if field.init and not is_right_kind(field.name, given)
]


def test_a_value_of_a_wrong_kind_is_a_config_error_and_never_another_crash() -> None:
    for name, given in WRONG_KINDS:
        problems = problems_of(**{name: given})
        assert problems, (name, given)
        assert_no_secret(problems)


@pytest.mark.parametrize("problems", [["one is wrong"], ["one is wrong", "two is wrong"]])
def test_the_text_of_a_config_error_begins_on_its_first_line(problems: list[str]) -> None:
    first, *rest = str(ConfigError(problems)).split("\n")
    assert first == "the settings are wrong:"
    assert rest == [f"  - {problem}" for problem in problems]


@pytest.mark.parametrize("variable", ["XWMS_MAX_SLOW_CALLS", "XWMS_LOGINS_PER_ADDRESS"])
def test_a_number_in_the_environment_is_a_whole_one(variable: str) -> None:
    for given in ("3.5", "many", "0x3"):
        with pytest.raises(ConfigError, match=variable):
            XWMSConfig.from_env({**ENVIRON, variable: given})


def test_an_address_may_have_no_limit_of_its_own() -> None:
    assert configure(logins_per_address=0).logins_per_address == 0


def test_all_faults_are_told_at_once_without_any_secret() -> None:
    with pytest.raises(ConfigError) as raised:
        XWMSConfig.from_env(
            {
                "XWMS_CLIENT_SECRET": CANARY + "\n",
                "XWMS_REDIRECT_URI": "http://app.example.com/cb",
                "XWMS_SESSION_SECRET": KEY[:20],
                "XWMS_API_URI": f"https://user:{OLD_KEY}@xwms.nl/api/",
                "XWMS_LOGIN_PATH": "auth",
                "XWMS_CALLBACK_TOKEN": "any",
                "XWMS_TIMEOUT": "soon",
            }
        )
    error = raised.value
    for variable in (
        "XWMS_CLIENT_ID",
        "XWMS_CLIENT_SECRET",
        "XWMS_REDIRECT_URI",
        "XWMS_SESSION_SECRET",
        "XWMS_API_URI",
        "XWMS_LOGIN_PATH",
        "XWMS_CALLBACK_TOKEN",
        "XWMS_TIMEOUT",
    ):
        assert any(variable in problem for problem in error.problems), variable
        assert variable in str(error)
    for shown in (str(error), repr(error), error.args, error.problems, vars(error)):
        assert_no_secret(shown)
        assert KEY[:20] not in str(shown)


def test_an_empty_environment_names_all_that_is_required() -> None:
    with pytest.raises(ConfigError) as raised:
        XWMSConfig.from_env({}, session_secret_required=True)
    told = str(raised.value)
    for variable in ("XWMS_CLIENT_ID", "XWMS_CLIENT_SECRET", "XWMS_REDIRECT_URI", "XWMS_SESSION_SECRET"):
        assert variable in told


def test_se_07_a_secret_that_cannot_be_a_header_is_refused_without_its_value() -> None:
    for shape in ("{}\n", "{}\r\n", " {}", "{} ", "{}\0", "\u00e9{}"):
        problems = problems_of(client_secret=shape.format(CANARY))
        assert any("client_secret" in problem for problem in problems), shape
        assert_no_secret(problems)


def test_a_client_secret_that_is_empty_is_a_config_error() -> None:
    for secret in ("", None, "\n"):
        assert any("client_secret" in problem for problem in problems_of(client_secret=secret)), secret


# Session secrets.


def test_a_session_secret_is_one_string_or_a_sequence() -> None:
    for given in (KEY, [KEY], (KEY,)):
        assert [key.reveal() for key in configure(session_secret=given).session_keys] == [KEY]


def test_session_secrets_keep_their_order_from_code_and_environment() -> None:
    assert [key.reveal() for key in configure().session_keys] == [KEY, OLD_KEY]
    environ = {**ENVIRON, "XWMS_SESSION_SECRET": f" {KEY}\n{OLD_KEY}\t"}
    assert [key.reveal() for key in XWMSConfig.from_env(environ).session_keys] == [KEY, OLD_KEY]


def test_ck_12_an_empty_short_or_well_known_session_secret_is_a_config_error() -> None:
    for given in (
        "short",
        KEY[:31],
        (KEY, "short"),
        (KEY, ""),
        ("",),
        "a" * 32,
        "0" * 64,
        " " * 40,
        "changeme" * 4,
        "change-me-" * 4,
        "secret" * 6,
        "password" * 4,
    ):
        assert any("session_secret" in problem for problem in problems_of(session_secret=given)), given


def test_ck_12_a_session_secret_that_is_the_client_secret_is_a_config_error() -> None:
    for given in (KEY, (OLD_KEY, KEY)):
        problems = problems_of(client_secret=KEY, session_secret=given)
        assert any("session_secret" in problem for problem in problems)
        assert_no_secret(problems)


def test_ck_12_a_session_secret_that_is_the_client_secret_of_a_file_is_a_config_error(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(KEY)
    environ = {name: value for name, value in ENVIRON.items() if name != "XWMS_CLIENT_SECRET"}
    with pytest.raises(ConfigError):
        XWMSConfig.from_env({**environ, "XWMS_CLIENT_SECRET_FILE": str(file)})


def test_ck_12_a_key_is_measured_in_bytes() -> None:
    sixteen_letters_of_two_bytes = "".join(map(chr, range(0xE0, 0xF0)))
    assert len(configure(session_secret=sixteen_letters_of_two_bytes).session_keys) == 1


# Where the client secret comes from.


def test_a_client_secret_may_be_a_callable_that_is_asked_each_time() -> None:
    secrets = iter(["first-secret", "second-secret"])
    config = configure(client_secret=lambda: next(secrets))
    assert config.secret_source().reveal() == "first-secret"
    assert config.secret_source().reveal() == "second-secret"


def test_a_client_secret_may_be_a_secret() -> None:
    assert configure(client_secret=Secret(CANARY)).secret_source().reveal() == CANARY


def test_se_07_a_callable_that_returns_an_impossible_secret_is_a_config_error_without_its_value() -> None:
    config = configure(client_secret=lambda: CANARY + "\n")
    with pytest.raises(ConfigError) as raised:
        config.secret_source()
    assert_no_secret(raised.value)


class TestSecretFile:
    """XWMS_CLIENT_SECRET_FILE: read at the start, and again when it changes."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "secret"
        file.write_text(CANARY + "\n")
        return file

    @pytest.fixture
    def environ(self, file: Path) -> dict[str, str]:
        environ = {**ENVIRON, "XWMS_CLIENT_SECRET_FILE": str(file)}
        del environ["XWMS_CLIENT_SECRET"]
        return environ

    def test_it_is_read_without_its_last_line_break(self, environ: dict[str, str]) -> None:
        assert XWMSConfig.from_env(environ).secret_source().reveal() == CANARY

    def test_s5_it_is_read_again_when_it_was_written_again(self, environ: dict[str, str], file: Path) -> None:
        config = XWMSConfig.from_env(environ)
        file.write_text("a-second-secret")
        assert config.secret_source().reveal() == "a-second-secret"

    def test_s5_it_is_read_again_when_another_file_took_its_place(self, environ: dict[str, str], file: Path) -> None:
        config = XWMSConfig.from_env(environ)
        before = file.stat()
        other = file.with_name("other")
        other.write_text(CANARY[::-1] + "\n")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(file)
        assert config.secret_source().reveal() == CANARY[::-1]

    def test_se_07_an_impossible_content_is_a_config_error_at_the_start(
        self, environ: dict[str, str], file: Path
    ) -> None:
        for content in ("", "\n", f"{CANARY}\nmore", f"  {CANARY}", f"{CANARY}\x00", "\u00e9"):
            file.write_text(content, encoding="utf-8")
            with pytest.raises(ConfigError) as raised:
                XWMSConfig.from_env(environ)
            assert any("XWMS_CLIENT_SECRET_FILE" in problem for problem in raised.value.problems)
            assert_no_secret(raised.value)

    def test_stray_bytes_are_a_config_error_without_the_bytes(self, environ: dict[str, str], file: Path) -> None:
        file.write_bytes(CANARY.encode() + b"\xff\xfe")
        with pytest.raises(ConfigError) as raised:
            XWMSConfig.from_env(environ)
        assert_no_secret(raised.value)
        assert_no_secret(crash_report(lambda: XWMSConfig.from_mapping(environ)))

    def test_a_file_that_is_not_there_is_a_config_error(self, environ: dict[str, str], file: Path) -> None:
        file.unlink()
        with pytest.raises(ConfigError):
            XWMSConfig.from_env(environ)

    def test_a_folder_is_a_config_error(self, environ: dict[str, str], tmp_path: Path) -> None:
        with pytest.raises(ConfigError):
            XWMSConfig.from_env({**environ, "XWMS_CLIENT_SECRET_FILE": str(tmp_path)})

    def test_a_file_and_a_secret_at_once_are_a_config_error(self, environ: dict[str, str]) -> None:
        with pytest.raises(ConfigError):
            XWMSConfig.from_env({**environ, "XWMS_CLIENT_SECRET": CANARY})


class TestSessionSecretFile:
    """XWMS_SESSION_SECRET_FILE: one key or several, read at the start."""

    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        (tmp_path / "keys").write_text(f"{KEY}\n{OLD_KEY}\n")
        environ = {**ENVIRON, "XWMS_SESSION_SECRET_FILE": str(tmp_path / "keys")}
        environ.pop("XWMS_SESSION_SECRET", None)
        return environ

    def test_the_keys_are_those_of_the_file(self, environ: dict[str, str]) -> None:
        for config in (XWMSConfig.from_env(environ), XWMSConfig.from_mapping(environ, session_secret_required=True)):
            assert [key.reveal() for key in config.session_keys] == [KEY, OLD_KEY]

    def test_a_file_without_a_key_is_one_config_error_that_names_it(self, environ: dict[str, str]) -> None:
        file = Path(environ["XWMS_SESSION_SECRET_FILE"])
        for content in (b"", b" \n", CANARY.encode() + b"\xff"):
            file.write_bytes(content)
            with pytest.raises(ConfigError) as raised:
                XWMSConfig.from_env(environ, session_secret_required=True)
            (problem,) = raised.value.problems
            assert "XWMS_SESSION_SECRET_FILE" in problem
            assert_no_secret(crash_report(lambda: XWMSConfig.from_env(environ)))
        for missing in (file.parent, file.parent / "nowhere"):
            with pytest.raises(ConfigError, match="XWMS_SESSION_SECRET_FILE"):
                XWMSConfig.from_env({**environ, "XWMS_SESSION_SECRET_FILE": str(missing)})

    def test_its_keys_are_checked_like_others(self, environ: dict[str, str]) -> None:
        file = Path(environ["XWMS_SESSION_SECRET_FILE"])
        for content in ("short", "a" * 40, CANARY):
            file.write_text(content)
            with pytest.raises(ConfigError, match="session_secret"):
                XWMSConfig.from_env({**environ, "XWMS_CLIENT_SECRET": CANARY})

    def test_a_file_and_a_secret_at_once_are_a_config_error(self, environ: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match="both set"):
            XWMSConfig.from_env({**environ, "XWMS_SESSION_SECRET": KEY})

    def test_flask_takes_it_instead_of_its_own_secret_key(
        self, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        app = flask.Flask(__name__)
        app.secret_key = "dev"  # which would be a fault
        XWMSAuth(app)
        Path(environ["XWMS_SESSION_SECRET_FILE"]).write_text("short")
        with pytest.raises(ConfigError, match="session_secret"):
            XWMSAuth(flask.Flask(__name__))


# Options as keywords beside the environment.


def test_keywords_take_precedence_over_the_environment() -> None:
    for read in (XWMSConfig.from_env, XWMSConfig.from_mapping):
        config = read(ENVIRON, session_idle=timedelta(hours=1), public=["/a"], domain="b.example")
        assert (config.session_idle, config.public, config.domain) == (timedelta(hours=1), ("/a",), "b.example")
        assert config.client_id == ENVIRON["XWMS_CLIENT_ID"]


def test_a_variable_that_a_keyword_replaces_is_not_read(tmp_path: Path) -> None:
    """Neither what is wrong in it, nor a file that it names."""
    nowhere = str(tmp_path / "nowhere")
    files = {"XWMS_CLIENT_SECRET_FILE": nowhere, "XWMS_SESSION_SECRET_FILE": nowhere}
    environ = {**ENVIRON, **files, "XWMS_TIMEOUT": "soon", "XWMS_CLIENT_SECRET": "", "XWMS_SESSION_SECRET": "x"}
    given = {"timeout": 3, "client_secret": lambda: CANARY, "session_secret": KEY}
    config = XWMSConfig.from_env(environ, session_secret_required=True, **given)
    assert (config.timeout, config.secret_source().reveal(), config.session_keys[0].reveal()) == (3, CANARY, KEY)


def test_all_faults_of_keywords_and_variables_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        XWMSConfig.from_env({**ENVIRON, "XWMS_PROTECT": "some"}, timeout=-1)
    assert len(raised.value.problems) == 2


def test_a_keyword_that_is_no_option_is_a_type_error_without_any_secret() -> None:
    for read in (XWMSConfig.from_env, XWMSConfig.from_mapping):
        for name in ("client_secrets", "faults", "session_keys"):
            with pytest.raises(TypeError, match=name):
                read(ENVIRON, **{name: CANARY})
            assert_no_secret(crash_report(partial(read, ENVIRON, **{name: CANARY})))


# Secrets never show.

HOLDERS = [
    pytest.param(lambda: Secret(CANARY), id="secret"),
    pytest.param(configure, id="config"),
    pytest.param(lambda: configure().secret_source, id="source"),
]


SHOWN: dict[str, Callable[[object], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "pprint": pprint.pformat,
    "f-string": lambda thing: f"{thing} {thing!r} {thing!s} {thing:>40}" if isinstance(thing, Secret) else f"{thing}",
    "percent": lambda thing: "%s %r" % (thing, thing),  # noqa: UP031  the form of log messages
    "containers": lambda thing: repr([thing]) + str({"a": thing}),
    "json": lambda thing: json.dumps(thing, default=str),
    "deepcopy": lambda thing: repr(copy.deepcopy(thing)),
    "dir": lambda thing: repr(dir(thing)),
}


@pytest.mark.parametrize("hold", HOLDERS)
def test_se_08_what_holds_a_secret_never_shows_it(hold: Callable[[], object], subtests: pytest.Subtests) -> None:
    for name, show in SHOWN.items():
        with subtests.test(name):
            assert_no_secret(show(hold()))


def test_se_08_a_shallow_copy_shows_no_secret_either() -> None:
    assert_no_secret(repr(copy.copy(Secret(CANARY))))
    assert_no_secret(repr(copy.copy(configure())))


def test_se_08_asdict_astuple_vars_and_fields_of_a_config_show_no_secret() -> None:
    config = configure()
    for shown in (dataclasses.asdict(config), dataclasses.astuple(config), vars(config)):
        assert_no_secret(shown)
        assert_no_secret(json.dumps(shown, default=repr))
    assert_no_secret([getattr(config, field.name) for field in dataclasses.fields(config)])


@pytest.mark.parametrize("hold", HOLDERS)
def test_se_08_pickling_what_holds_a_secret_is_refused(hold: Callable[[], object]) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as raised:
            pickle.dumps(hold(), protocol)
        assert_no_secret(raised.value)


def test_se_08_a_secret_is_not_json() -> None:
    with pytest.raises(TypeError) as raised:
        json.dumps({"secret": Secret(CANARY)})
    assert_no_secret(raised.value)


def test_se_08_a_secret_has_no_attributes_to_list() -> None:
    with pytest.raises(TypeError):
        vars(Secret(CANARY))


def test_se_08_a_log_line_with_a_config_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("app").debug("config %s %r %s", configure(), configure(), Secret(CANARY))
    assert "app" in caplog.text
    assert_no_secret(caplog.text)


def test_a_secret_equals_another_of_the_same_value_and_nothing_else() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert hash(Secret(CANARY)) == hash(Secret(CANARY))
    assert Secret(CANARY) != Secret(KEY)
    assert Secret(CANARY) != CANARY
    assert Secret("\u00e9") != Secret("e")
    assert Secret(CANARY)
    assert not Secret("")


def test_a_secret_of_stray_bytes_in_the_environment_can_be_compared() -> None:
    assert Secret("\udcff") != Secret(CANARY)
    assert Secret("\udcff") == Secret("\udcff")


def test_a_session_secret_of_stray_bytes_in_the_environment_is_judged_without_a_crash() -> None:
    try:
        config = XWMSConfig.from_env({**ENVIRON, "XWMS_SESSION_SECRET": KEY + "\udcff"})
    except ConfigError as error:
        assert_no_secret(error)
    else:
        assert len(config.session_keys) == 1


CRASHES: dict[str, Callable[[], object]] = {
    "a fault elsewhere": lambda: configure(login_path="auth"),
    "a fault of the secret": lambda: configure(client_secret=f"{CANARY}\n"),
    "a fault of a key": lambda: configure(session_secret=(KEY, OLD_KEY[:20])),
    "a wrong kind": lambda: configure(login_path=5),
    "replace": lambda: dataclasses.replace(configure(), login_path="auth"),
    "mapping": lambda: XWMSConfig.from_mapping({**ENVIRON, "XWMS_LOGIN_PATH": "auth"}),
    "environment": lambda: XWMSConfig.from_env({**ENVIRON, "XWMS_LOGIN_PATH": "auth"}),
    "a number": lambda: XWMSConfig.from_env({**ENVIRON, "XWMS_TIMEOUT": "soon"}),
    "json": lambda: json.dumps(Secret(CANARY)),
    "pickle": lambda: pickle.dumps(configure()),
    "callable": lambda: configure(client_secret=lambda: f"{CANARY}\n").secret_source(),
    "a misspelt option": lambda: XWMSConfig(**REQUIRED, login_pth="/login"),
}


def test_se_05_a_crash_report_with_local_variables_shows_no_secret(subtests: pytest.Subtests) -> None:
    for name, act in CRASHES.items():
        with subtests.test(name):
            assert_no_secret(crash_report(act))


def test_addresses_of_a_redis() -> None:
    for url in (
        "redis://localhost",
        "redis://localhost:6379/",
        "redis://user:p%40ss@localhost:6379/15",
        "redis://localhost/0?db=3&username=desk",
        "rediss://redis.internal:6380/0?ssl_ca_certs=/etc/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
        "unix:///run/redis.sock?db=2&password=secret",
        "redis+cluster://redis.internal:7000",
        "rediss+cluster://redis.internal:7000/0?ssl_ca_path=/etc/ssl/certs",
    ):
        assert Secret(XWMSConfig(**REQUIRED, session_store=url).session_store) == Secret(url)


def test_a_wrong_address_of_a_redis_is_not_quoted() -> None:
    with pytest.raises(ConfigError) as refused:
        XWMSConfig(**REQUIRED, session_store="redis://:hunter2@localhost/0?hunter2=hunter2")
    assert "hunter2" not in str(refused.value)
    assert "ssl_ca_certs" in str(refused.value)
