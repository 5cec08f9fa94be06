"""What is derived once from a config: keys for each purpose, the redirect URI of each host, what is public."""

import pytest

from xwms_auth import ConfigError, HostNotRegistered, User, XWMSConfig
from xwms_auth._core.base.crypto.digests import derived, identity_digest
from xwms_auth._core.base.crypto.sealing import Sealed
from xwms_auth._core.base.crypto.signing import Signed
from xwms_auth._core.base.models import Secret
from xwms_auth._core.base.session import Session
from xwms_auth._core.base.strict_json import JSONObject
from xwms_auth._core.config.context import Context
from xwms_auth._core.config.server.metadata import Metadata
from xwms_auth._core.http.messages import Request

NOW = 1_800_000_000
KEYS = ("r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3", "B5nXc8Vk1TzPq4WsD7gRf2HyLm6JaE9u")
URI, OTHER = "https://app.example/xwms/validateToken", "https://shop.example/callback"
LOCAL = "http://localhost:5000/xwms/validateToken"
OAUTH = {"flow": "oauth2", "issuer": "https://xwms.nl"}
ENDPOINTS = {
    "authorization_endpoint": "https://xwms.nl/a",
    "token_endpoint": "https://xwms.nl/t",
    "userinfo_endpoint": "https://xwms.nl/u",
    "jwks_uri": "https://xwms.nl/k",
}


def made(*uris, is_told=False, **options) -> Context:
    usual = {"client_id": "desk", "client_secret": "s3cret", "redirect_uris": uris or URI, "session_secret": KEYS}
    return Context.of(XWMSConfig(**{**usual, **options}), is_told=is_told)


def request(path="/", *, host=None, query="") -> Request:
    return Request(method="GET", path=path, query=query, headers={} if host is None else {"host": host})


# Keys.


@pytest.mark.parametrize(
    ("options", "flow", "audience"),
    [({}, "sign-token", "desk@https://xwms.nl/api/"), (OAUTH, "oauth2", "oauth2:desk@https://xwms.nl")],
)
def test_what_an_earlier_version_sealed_and_signed_is_read(options, flow, audience):
    """The purposes and the audience are in every cookie and record that is out there."""
    context, keys = made(**options), [Secret(key) for key in KEYS]
    assert context.audience == audience
    for purpose, of_the_context in {
        "session": context.session_sealer,
        "record": context.record_sealer,
        f"login/{flow}": context.login_sealer,
    }.items():
        assert Sealed(keys, purpose=purpose, audience=audience).open_text(of_the_context.seal_text("a")) == "a"
    assert Signed(keys, purpose="logout-form", audience=audience).loads(context.form_signer.dumps("a")) == "a"


def test_a_person_has_one_name_in_the_log_under_one_first_secret_and_it_cannot_be_guessed():
    identity = User(issuer="https://xwms.nl/api/", sub="17").identity
    name = made().log_name(identity)
    assert name == made(session_secret=KEYS[0]).log_name(identity) != made(session_secret=KEYS[1]).log_name(identity)
    assert name == derived(derived(KEYS[0], "log-key"), f"log-name/{identity_digest(identity)}")[:12]
    assert len(name) == 12
    assert name != made().log_name(User(issuer="https://xwms.nl/api/", sub="18").identity)


# Settings that are missing.


def test_without_a_session_secret_there_is_no_application():
    with pytest.raises(ConfigError, match="XWMS_SESSION_SECRET"):
        made(session_secret=())


def test_where_settings_may_be_missing_nobody_is_signed_in_and_the_fault_names_each(caplog):
    context = made(URI, OTHER, session_secret=(), client_id="", allow_missing_settings=True)
    with pytest.raises(ConfigError) as caught:
        context.require_settings()
    assert caught.value.problems == context.missing
    assert [one.split()[0] for one in context.missing] == ["XWMS_CLIENT_ID", "XWMS_SESSION_SECRET"]
    assert isinstance(context.fault(), ConfigError)
    assert context.redirect_uri_for("app.example") is context.redirect_uri_for("shop.example") is None
    assert "settings_missing" in caplog.text
    only = made(session_secret=(), allow_missing_settings=True)
    assert only.redirect_uri_for("app.example") is None
    assert only.session_sealer.open_text(context.session_sealer.seal_text("a")) is None, "a key that nobody else has"


def test_where_nothing_is_missing_nothing_is_refused():
    context = made(allow_missing_settings=True)
    context.require_settings()
    assert context.missing == ()


# Hosts.


def test_the_only_redirect_uri_serves_every_host():
    context = made()
    for host in ("app.example", "anything.example", ""):
        uri = context.require_redirect_uri(request(host=host))
        assert uri.uri == URI
    assert context.require_redirect_uri(request()).uri == URI
    assert context.origins == {"https://app.example"}


@pytest.mark.parametrize(
    ("host", "uri"),
    [
        ("app.example", URI),
        ("APP.example", URI),
        ("app.example:443", URI),
        ("shop.example", OTHER),
        ("app.example:80", None),
        ("other.example", None),
        ("", None),
        (None, None),
    ],
)
def test_the_host_selects_one_of_several_redirect_uris_and_becomes_part_of_none(host, uri):
    context = made(URI, OTHER)
    assert context.origins == {"https://app.example", "https://shop.example"}
    found = context.redirect_uri_for(host or "")
    assert (found and found.uri) == uri
    if uri is not None:
        assert context.require_redirect_uri(request(host=host)).uri == uri
        return
    with pytest.raises(HostNotRegistered) as caught:
        context.require_redirect_uri(request(host=host))
    assert repr(host or "") in str(caught.value.cause)


def test_a_request_that_names_no_host_is_on_none():
    with pytest.raises(HostNotRegistered):
        made(URI, "https://x/callback").require_redirect_uri(request())


def test_of_a_host_as_long_as_a_header_may_be_the_log_shows_a_hundred_characters():
    with pytest.raises(HostNotRegistered) as caught:
        made(URI, OTHER).require_redirect_uri(request(host="x" * 8000))
    assert caught.value.cause.count("x") == 100


@pytest.mark.parametrize(
    ("path", "host", "is_ours"),
    [
        ("/xwms/auth", "app.example", True),
        ("/xwms/auth", "shop.example", True),
        ("/xwms/auth", "other.example", True),
        ("/xwms/validateToken", "app.example", True),
        ("/xwms/validateToken", "shop.example", False),
        ("/xwms/validateToken", "other.example", True),
        ("/callback", "shop.example", True),
        ("/callback", "app.example", False),
        ("/", "app.example", False),
        ("/xwms/auth/", "app.example", False),
    ],
)
def test_a_callback_path_is_ours_on_its_own_host_only(path, host, is_ours):
    context = made(URI, OTHER)
    assert context.is_own_route(path, host) is is_ours
    assert path not in context.own_paths if path in ("/", "/xwms/auth/") else path in context.own_paths


# Pages.


@pytest.mark.parametrize(
    ("path", "is_public"),
    [
        ("/health", True),
        ("/health/", False),
        ("/health/more", False),
        ("/static/", True),
        ("/static/a/b.css", True),
        ("/static", False),
        ("/static/../admin", False),
        ("/static/%2e%2e/admin", False),
        ("/static//admin", False),
        ("/docs/a", True),
        ("/", False),
        ("/admin", False),
    ],
)
def test_what_is_public_is_named_or_below_a_name_and_can_be_read_in_one_way_only(path, is_public):
    context = made(protect="all", public=("/health", "/static/*", "/docs/*"))
    assert context.is_public(path) is is_public


def test_a_path_that_can_be_read_in_several_ways_is_below_no_name():
    assert made(public=("/a//*",)).is_public("/a//*") is False


@pytest.mark.parametrize(("protect", "protects"), [("all", True), ("marked", False)])
def test_everything_is_protected_where_that_is_set(protect, protects):
    assert made(protect=protect).protects_all is protects


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("next=/page", "/page"),
        ("next=%2Fpage%3Fa%3D1&other=x", "/page?a=1"),
        ("next=https://front.example/a", "https://front.example/a"),
        ("", None),
        ("next=", None),
        ("next=/a&next=/b", None),
        ("next=https://evil.example/", None),
        ("next=//evil.example", None),
        ("next=/xwms/logout", None),
    ],
)
def test_a_next_counts_once_and_where_it_may_lead(query, target):
    context = made(trusted_origins="https://front.example")
    assert context.next_url(request(query=query)) == target


@pytest.mark.parametrize(
    ("origin", "is_trusted"),
    [("https://front.example", True), ("https://app.example", False), ("null", False), (None, False), ("", False)],
)
def test_an_origin_is_trusted_if_it_is_named(origin, is_trusted):
    assert made(trusted_origins="https://front.example").trusts(origin) is is_trusted


# Cookies.


@pytest.mark.parametrize(("uri", "start", "is_secure"), [(URI, "__Host-xwms_", True), (LOCAL, "xwms_", False)])
def test_the_cookie_of_a_session_lives_as_long_as_the_session_may(uri, start, is_secure):
    context = made(uri, session_idle=100, session_lifetime=1000)
    chosen = context.require_redirect_uri(request())
    names = context.names_for(chosen)
    assert (names.session.startswith(f"{start}session_"), names.secure) == (True, is_secure)
    session = Session(id="i", user=User(issuer="i", sub="1"), started_at=NOW, seen_at=NOW)

    def cookie(now):
        return context.session_cookie(chosen, "a-handle", session, now=now)

    assert cookie(NOW).startswith(f"{names.session}=a-handle; ")
    assert ("; Secure" in cookie(NOW)) is is_secure
    most = 1000 + 86_400  # for a day people are told why they are signed out
    for later, age in ((0, most), (1, most - 1), (most - 1, 1), (most, 1), (most + 1000, 1)):
        assert f"Max-Age={age};" in cookie(NOW + later), later


def test_a_session_has_the_limits_of_the_options():
    lifetimes = made(session_idle=100, session_lifetime=1000, sessions_valid_after=1_700_000_000).lifetimes
    assert (lifetimes.idle, lifetimes.absolute, lifetimes.valid_after) == (100, 1000, 1_700_000_000)


# The authorization server.


def metadata() -> Metadata:
    return Metadata(issuer="https://xwms.nl", authorization_endpoint="https://xwms.nl/a", token_endpoint="/t")


@pytest.mark.parametrize(
    ("options", "has_metadata", "has_keys", "is_known"),
    [
        ({}, False, False, False),
        ({}, True, False, False),
        ({}, False, True, False),
        ({}, True, True, True),
        (ENDPOINTS, False, True, True),
        (ENDPOINTS, False, False, False),
    ],
)
def test_a_token_needs_no_call_once_metadata_and_keys_are_at_hand(options, has_metadata, has_keys, is_known):
    context = made(**OAUTH, **options)
    if has_metadata:
        context.state.server.metadata.learn(metadata(), NOW)
    if has_keys:
        context.state.server.keys.learn((JSONObject(kid="1"),), NOW)
    assert context.knows_server(NOW) is is_known


# What an operator is told.

HTTP = {"insecure_allow_http": True}


@pytest.mark.parametrize(
    ("uris", "options", "told"),
    [
        ((URI,), {}, {"each_process_by_itself": "WARNING"}),
        ((LOCAL,), {}, {"each_process_by_itself": "INFO"}),
        ((URI, LOCAL), {}, {"each_process_by_itself": "WARNING", "loopback_beside_public": "WARNING"}),
        ((URI, OTHER), {"session_store": "memory://"}, {}),
        ((URI,), {"revocation_store": "sqlite:///x"}, {}),
        ((URI,), {"revocation_store": "memory://"}, {"revocations_forgotten": "WARNING"}),
        ((URI,), {"path_prefix": "/shop", "session_store": "memory://"}, {"path_prefix": "INFO"}),
        ((URI,), {"issuer": "https://other.example", "session_store": "memory://"}, {"issuer_not_used": "INFO"}),
        (
            (URI,),
            {"sessions_valid_after": 1_700_000_000, "session_store": "memory://"},
            {"sessions_valid_after": "INFO"},
        ),
        (("http://devbox/cb",), {**HTTP, "session_store": "memory://"}, {"insecure_allow_http": "WARNING"}),
        ((LOCAL,), {**HTTP, "session_store": "memory://"}, {}),
    ],
)
def test_the_log_tells_once_what_is_doubtful_about_the_settings(caplog, uris, options, told):
    with caplog.at_level("INFO", logger="xwms_auth"):
        made(*uris, **options)
        assert {record.getMessage().split()[0]: record.levelname for record in caplog.records} == told
        caplog.clear()
        made(*uris, is_told=True, **options)
        assert caplog.records == []


@pytest.mark.parametrize(
    ("uri", "api_url", "where"),
    [
        ("http://devbox/cb", "https://xwms.nl/api/", "where=redirect_uris "),
        ("http://devbox/cb", "http://devbox:8000/api/", "where='api_url redirect_uris' "),
        (LOCAL, "http://devbox:8000/api/", "where=api_url "),
    ],
)
def test_the_log_names_the_settings_that_are_plain_http(caplog, uri, api_url, where):
    made(uri, api_url=api_url, insecure_allow_http=True)
    assert f"insecure_allow_http {where}" in caplog.text
