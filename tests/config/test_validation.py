"""Each option at both sides of its limits: which faults are told, under which names, and what is derived from it."""

import dataclasses

import pytest

from xwms_auth import ConfigError, XWMSConfig
from xwms_auth._core.base.models import Secret
from xwms_auth.stores.memory import MemoryStore

KEY = "r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3"
OTHER_KEY = "B5nXc8Vk1TzPq4WsD7gRf2HyLm6JaE9u"
URI, ELSEWHERE = "https://app.example/xwms/validateToken", "https://shop.example/xwms/validateToken"
LOCAL = "http://localhost:5000/xwms/validateToken"
USUAL = {"client_id": "desk", "client_secret": "s3cret", "redirect_uris": URI, "session_secret": KEY}
OAUTH = {"flow": "oauth2", "issuer": "https://id.example"}
HTTP = {"insecure_allow_http": True}
DEVELOPMENT = "development-only.r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3"


def made(**options) -> XWMSConfig:
    return XWMSConfig(**{**USUAL, **options})


def faults(**options) -> tuple[str, ...]:
    try:
        made(**options)
    except ConfigError as error:
        return error.problems
    return ()


def named(problem: str) -> str:
    """The option that a problem begins with."""
    first, second, *_ = problem.split()
    return second.strip("()") if second.startswith("(") else first


WRONG = [
    ({"client_id": ""}, "client_id", "is missing"),
    ({"client_id": None}, "client_id", "is missing"),
    ({"client_id": 7}, "client_id", "is missing"),
    ({"client_id": "x" * 256}, "client_id", "characters"),
    ({"client_id": " desk"}, "client_id", "characters"),
    ({"client_secret": 7}, "client_secret", "neither text nor a callable"),
    ({"client_secret": ""}, "client_secret", "is missing"),
    ({"client_secret": Secret("")}, "client_secret", "is missing"),
    ({"client_secret": "a\n"}, "client_secret", "white space"),
    ({"redirect_uris": ()}, "redirect_uris", "is missing"),
    ({"redirect_uris": ""}, "redirect_uris", "is missing"),
    ({"redirect_uris": 7}, "redirect_uris", "is not text"),
    ({"redirect_uris": (URI, 7)}, "redirect_uris", "number 2 is not text"),
    ({"redirect_uris": ("ftp://a/b", URI)}, "redirect_uris", "number 1 "),
    ({"redirect_uris": ("https://app.example/a", "https://app.example/b")}, "redirect_uris", "two URLs on one host"),
    ({"redirect_uris": (URI, URI)}, "redirect_uris redirect_uris", "has one URL twice"),
    ({"redirect_uris": URI, **HTTP}, "insecure_allow_http", "https redirect URI"),
    ({"redirect_uris": (LOCAL, URI), **HTTP}, "insecure_allow_http", "https redirect URI"),
    ({"redirect_uris": "http://devbox/cb"}, "redirect_uris", ""),
    ({"redirect_uris": "http://devbox/cb", "insecure_allow_http": 1}, "redirect_uris insecure_allow_http", ""),
    ({"api_url": "http://devbox/api/"}, "api_url", ""),
    ({"api_url": 7}, "api_url", "is not text"),
    ({"domain": "a/b"}, "domain", "plain domain"),
    ({"domain": "a b"}, "domain", "plain domain"),
    ({"domain": "a\n"}, "domain", "plain domain"),
    ({"domain": 7}, "domain", "plain domain"),
    ({"login_origins": ("https://a.example", 7)}, "login_origins", "has an entry that is not text"),
    ({"trusted_origins": ("https://a.example", "x")}, "trusted_origins", "has an entry that"),
    ({"session_secret": 7}, "session_secret", "not text"),
    ({"session_secret": (KEY, 7)}, "session_secret", "not text"),
    ({"session_secret": (KEY, KEY[:31])}, "session_secret", "under 32 bytes"),
    ({"session_secret": (KEY, "ab" * 20)}, "session_secret", "guess"),
    ({"session_secret": (b"short", KEY)}, "session_secret", "under 32 bytes"),
    ({"session_secret": (KEY, DEVELOPMENT)}, "session_secret", "`xwms-auth dev`"),
    ({"session_secret": DEVELOPMENT, "redirect_uris": (LOCAL, URI)}, "session_secret", "`xwms-auth dev`"),
    ({"client_secret": KEY}, "session_secret", "is the client secret"),
    ({"client_secret": Secret(KEY), "session_secret": (OTHER_KEY, KEY)}, "session_secret", "is the client secret"),
    ({"client_secret": lambda: "s3cret", "session_secret": "X"}, "session_secret", "under 32 bytes"),
    ({"client_secret": lambda: "s3cret", "session_secret": (KEY, "")}, "session_secret", "under 32 bytes"),
    ({"session_secret": ""}, "session_secret", "under 32 bytes"),
    ({"session_secret": b""}, "session_secret", "under 32 bytes"),
    ({"session_secret": Secret("")}, "session_secret", "under 32 bytes"),
    ({"login_path": "auth"}, "login_path", ""),
    ({"logout_path": "auth"}, "logout_path", ""),
    ({"me_path": "auth"}, "me_path", ""),
    ({"backchannel_path": "auth"}, "backchannel_path", ""),
    ({"login_path": 7}, "login_path", "is not text"),
    ({"login_path": "/a", "logout_path": "/a"}, "login_path", "must all differ"),
    ({"me_path": "/xwms/validateToken"}, "login_path", "must all differ"),
    ({**OAUTH, "backchannel_path": "/xwms/auth"}, "login_path", "must all differ"),
    ({"login_path": "/" + "x" * 300}, "login_path", "longer than 300"),
    ({"after_login": "/" + "x" * 300}, "after_login", "longer than 300"),
    ({"after_logout": "/" + "x" * 300}, "after_logout", "longer than 300"),
    (
        {"after_login": "https://front.example/", "trusted_origins": "https://b.example"},
        "after_login",
        "or a URL of a trusted origin, or",
    ),
    ({"after_login": "/xwms/login.js", "login_path": "/xwms/login.js"}, "after_login", "one of the login routes"),
    (
        {"after_logout": "https://front.example/", "trusted_origins": "https://front.example"},
        "after_logout",
        'is not a path on this site such as "/welcome", or',
    ),
    ({"after_logout": 7}, "after_logout", "is not a path"),
    ({"after_login": "/a b"}, "after_login", "is not a path"),
    ({"public": ("health",)}, "public", "neither an exact path"),
    ({"public": ("/a", "/a*")}, "public", "neither an exact path"),
    ({"public": ("/a*/b",)}, "public", "neither an exact path"),
    ({"public": ("*/*",)}, "public", "neither an exact path"),
    ({"public": (7,)}, "public", "neither an exact path"),
    ({"path_prefix": "shop"}, "path_prefix", ""),
    ({"path_prefix": 7}, "path_prefix", "is not text"),
    ({"path_prefix": "/shop/"}, "path_prefix", ""),
    ({"sessions_valid_after": "soon"}, "sessions_valid_after", "neither a date"),
    ({"callback_token": "any"}, "callback_token", "must be one of: either, same, fresh"),
    ({"protect": "none"}, "protect", "must be one of: marked, all"),
    ({"recheck_policy": "x"}, "recheck_policy", "must be one of: end, keep"),
    ({"flow": "x"}, "flow", "must be one of: sign-token, oauth2"),
    ({"client_auth": "x"}, "client_auth", "must be one of: client_secret_basic, client_secret_post"),
    ({"token_validation": "x"}, "token_validation", "must be one of: introspection, jwt"),
    ({"introspection_token_type": "x"}, "introspection_token_type", "must be one of: required, optional"),
    *(({name: 1}, name, "must be True or False") for name in (
        *("confirm_person", "debug", "id_token_hint", "leak_guard", "provider_logout", "redact_access_logs"),
        *("insecure_allow_http", "allow_missing_settings"),
    )),
    ({"session_store": "x"}, "session_store", "must be one of: cookie, memory://"),
    ({"session_store": 7}, "session_store", "is neither a URL nor a SessionStore"),
    ({"session_store": Secret("x")}, "session_store", "must be one of"),
    ({"revocation_store": "x"}, "revocation_store", "must be one of: memory://"),
    ({"revocation_store": 7}, "revocation_store", "is neither a URL nor a RevocationStore"),
    ({"session_store": "memory://", "revocation_store": "memory://"}, "revocation_store", "only for session_store"),
    ({"cookie_tag": "A"}, "cookie_tag", "must be 1 to 16 characters"),
    ({"cookie_tag": "a" * 17}, "cookie_tag", "must be 1 to 16 characters"),
    ({"cookie_tag": 7}, "cookie_tag", "must be 1 to 16 characters"),
    ({"scopes": "a,b"}, "scopes", "separated by commas"),
    ({"scopes": ("a b",)}, "scopes", "not a scope"),
    ({"scopes": 'a "b"'}, "scopes", "not a scope"),
    ({"scopes": 7}, "scopes", "not a scope"),
    ({"audience": "x" * 256}, "audience", "name of an API"),
    ({"audience": "a b"}, "audience", "name of an API"),
    ({"audience": None}, "audience", "name of an API"),
    ({**OAUTH, "token_validation": "jwt"}, "audience", "is missing"),
    ({"issuer": "https://id.example?a"}, "issuer", "has a query"),
    ({"issuer": "http://id.example"}, "issuer", ""),
    ({**OAUTH, "issuer": ""}, "issuer", ""),
    ({**OAUTH, "token_endpoint": "https://id.example/t"}, "authorization_endpoint jwks_uri", "is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "names", "reason"), WRONG)
def test_a_wrong_value_is_one_fault_of_its_option(options, names, reason):
    told = faults(**options)
    assert " ".join(map(named, told)) == names
    assert reason in told[0]


def test_a_fault_names_the_variable_and_the_option_or_the_option_alone():
    assert faults(client_id="")[0].startswith("XWMS_CLIENT_ID (client_id) is missing; find it")
    assert faults(domain=7)[0].startswith("XWMS_DOMAIN (domain) is not")
    assert faults(redirect_uris=7) == ("XWMS_REDIRECT_URI (redirect_uris) is not text",)
    assert faults(pages=7)[0].startswith("pages ")
    assert "(" not in faults(pages=7)[0]
    assert faults(login_path="a", me_path="b", protect="c") == (
        *faults(login_path="a"),
        *faults(me_path="b"),
        *faults(protect="c"),
    )


RIGHT = [
    {"client_id": "x" * 255},
    {"client_secret": Secret("s3cret")},
    {"redirect_uris": (URI, "https://app.example:8443/xwms/validateToken")},
    {"redirect_uris": (LOCAL, URI)},
    {"redirect_uris": LOCAL, **HTTP},
    {"redirect_uris": "http://devbox/cb", "api_url": "http://devbox:8000/api/", **HTTP},
    {"domain": "a.example"},
    {"domain": "17"},
    {"domain": "X-17"},
    {"session_secret": KEY.encode()},
    {"session_secret": (KEY.encode(), Secret(OTHER_KEY))},
    {"session_secret": ()},
    {"session_secret": None},
    {"session_secret": DEVELOPMENT, "redirect_uris": LOCAL},
    {"client_secret": lambda: KEY},
    {"login_path": "/" + "x" * 299},
    {"after_login": "/" + "x" * 299},
    {"after_logout": "/" + "x" * 299},
    {"after_login": "https://front.example/a", "trusted_origins": "https://front.example"},
    {"backchannel_path": "/xwms/auth"},
    {"public": "/health"},
    {"public": ("/", "/*", "/a/b/*")},
    {"session_store": MemoryStore()},
    {"session_store": Secret("memory://")},
    {"revocation_store": MemoryStore()},
    {"cookie_tag": "a" * 16},
    {"cookie_tag": "0z"},
    {"scopes": ("a,b",)},
    {"scopes": ""},
    {"audience": "x" * 255},
    {"token_validation": "jwt"},
    {**OAUTH, "token_validation": "jwt", "audience": "api"},
    {"issuer": "https://other.example"},
    {"issuer": "http://devbox", "redirect_uris": LOCAL, **HTTP},
]


@pytest.mark.parametrize("options", RIGHT)
def test_a_right_value_is_no_fault(options):
    assert faults(**options) == ()


# What follows from others.


def test_the_secret_of_the_client_is_a_source_that_gives_it():
    assert made().secret_source().reveal() == made(client_secret=lambda: "s3cret").secret_source().reveal() == "s3cret"
    assert made().client_secret == Secret("s3cret")


@pytest.mark.parametrize(
    ("options", "domain"),
    [
        ({}, "app.example"),
        ({"redirect_uris": (ELSEWHERE, URI)}, "shop.example"),
        ({"domain": "17"}, "17"),
        ({"redirect_uris": LOCAL}, "localhost"),
    ],
)
def test_the_domain_is_the_host_of_the_first_redirect_uri_unless_it_is_given(options, domain):
    assert made(**options).domain == domain


@pytest.mark.parametrize(
    ("uris", "given", "prefix"),
    [
        (URI, "", ""),
        ("https://app.example/shop/xwms/validateToken", "", "/shop"),
        (("https://app.example/shop/xwms/validateToken", "https://b.example/shop/xwms/validateToken"), "", "/shop"),
        (("https://app.example/shop/xwms/validateToken", ELSEWHERE), "", ""),
        (("https://app.example/a", "https://b.example/a"), "", ""),
        (("https://app.example/shop/xwms/validateToken", "https://b.example/shop"), "", ""),
        ("https://app.example/callback", "", ""),
        ("https://app.example/shop/xwms/validateToken", "/", ""),
        ("https://app.example/shop/xwms/validateToken", "/desk", "/desk"),
        ("https://app.example/callback", "/desk", "/desk"),
    ],
)
def test_the_prefix_shows_in_the_redirect_uris_or_is_given_and_begins_every_path_of_ours(uris, given, prefix):
    config = made(redirect_uris=uris, path_prefix=given, me_path="/who")
    assert config.path_prefix == prefix
    assert (config.login_path, config.logout_path) == (f"{prefix}/xwms/auth", f"{prefix}/xwms/logout")
    assert config.backchannel_path == f"{prefix}/xwms/backchannel-logout"
    assert config.me_path == "/who"
    assert config.after_login == config.after_logout == f"{prefix}/"
    assets = {config.style_path, config.script_path, config.plain_script_path}
    assert len(assets) == 3
    assert all(path.startswith(f"{prefix}/xwms/") for path in assets)
    routes = {config.login_path, config.logout_path, "/who"}
    assert config.own_paths == assets | routes | config.callback_paths
    assert config.callback_paths == {uri.path for uri in config.registered}


def test_only_oauth_has_the_path_of_a_logout_by_the_server():
    assert made().backchannel_path not in made().own_paths
    assert made(**OAUTH).backchannel_path in made(**OAUTH).own_paths


def test_the_addresses_are_kept_in_their_order_and_the_api_ends_with_a_slash():
    config = made(redirect_uris=[ELSEWHERE, URI], api_url="https://xwms.example/api")
    assert config.redirect_uris == tuple(uri.uri for uri in config.registered) == (ELSEWHERE, URI)
    assert config.api_url == config.api.origin + config.api.path == "https://xwms.example/api/"


@pytest.mark.parametrize("name", ["login_origins", "trusted_origins", "public", "scopes"])
def test_one_text_or_several_are_a_tuple(name):
    value = {"public": "/a", "scopes": "a"}.get(name, "https://a.example")
    assert getattr(made(**{name: value}), name) == getattr(made(**{name: [value]}), name) == (value,)
    assert getattr(made(**{name: ""}), name) == getattr(made(**{name: []}), name) == ()


def test_scopes_are_separated_by_white_space_and_say_whether_the_login_is_openid_connect():
    assert made(scopes=" openid  email ").scopes == ("openid", "email")
    assert made(scopes="openid email").openid is True
    assert made(scopes="email openids").openid is False


def test_a_moment_ends_the_sessions_of_before_and_none_does_without_it():
    assert made().valid_after_seconds == 0
    assert made(sessions_valid_after="2024-02-03T04:05:06.5Z").valid_after_seconds == 1_706_933_107


@pytest.mark.parametrize(
    ("value", "is_hidden"),
    [("memory://", False), ("redis://:pass@localhost/0", True), (Secret("memory://"), False)],
)
@pytest.mark.parametrize("name", ["session_store", "revocation_store"])
def test_the_url_of_a_store_is_a_secret_if_it_may_have_a_password(name, value, is_hidden):
    kept = getattr(made(**{name: value}), name)
    assert kept == (Secret(value) if is_hidden else "memory://")


def test_two_clients_have_two_tags_and_a_client_has_its_own():
    tags = {
        made(**options).cookie_tag for options in ({}, {"client_id": "shop"}, OAUTH, {"api_url": "https://x.nl/a/"})
    }
    assert len(tags) == 4
    assert made().cookie_tag == made(domain="17").cookie_tag == "6d08d76f"
    assert made(cookie_tag="mine").cookie_tag == "mine"


# Settings that are missing.


def missing(**options):
    return tuple(line.split()[0] for line in made(allow_missing_settings=True, **options).missing)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ()),
        ({"client_id": ""}, ("XWMS_CLIENT_ID",)),
        ({"client_secret": ""}, ("XWMS_CLIENT_SECRET",)),
        ({"redirect_uris": ()}, ("XWMS_REDIRECT_URI",)),
        (
            {"client_id": "", "client_secret": "", "redirect_uris": ""},
            ("XWMS_CLIENT_ID", "XWMS_CLIENT_SECRET", "XWMS_REDIRECT_URI"),
        ),
        ({"flow": "oauth2"}, ("XWMS_ISSUER",)),
        ({"flow": "oauth2", "issuer": "https://id.example"}, ()),
        ({"issuer": ""}, ()),
    ],
)
def test_what_is_missing_is_named_and_something_valid_takes_its_place(options, names):
    assert missing(**options) == names
    config = made(allow_missing_settings=True, **options)
    assert dataclasses.replace(config).missing == config.missing, "also in a copy"
    if names:
        assert faults(**options) != ()


def test_what_takes_the_place_of_missing_settings_is_at_no_address_that_there_is():
    nothing = dict.fromkeys(("client_id", "client_secret", "redirect_uris"), "")
    config = made(allow_missing_settings=True, flow="oauth2", **nothing)
    assert (config.client_id, config.client_secret) == ("missing", Secret("missing"))
    assert (config.redirect_uris, config.issuer) == (
        ("https://missing.invalid/xwms/validateToken",),
        "https://missing.invalid",
    )


def test_nothing_may_be_missing_unless_that_is_set():
    assert made().missing == ()
    assert [named(one) for one in faults(client_id="", client_secret="")] == ["client_id", "client_secret"]


def test_endpoints_of_a_server_need_no_issuer_to_take_its_place():
    endpoints = {"authorization_endpoint": "https://id.example/a", "token_endpoint": "https://id.example/t"}
    assert "issuer" in map(named, faults(flow="oauth2", allow_missing_settings=True, **endpoints))


# The issuer with sign-token.


@pytest.mark.parametrize(
    ("given", "issuer", "unused"),
    [
        ("", "https://xwms.nl/api/", ""),
        ("https://xwms.nl", "https://xwms.nl", ""),
        ("https://other.example", "https://xwms.nl/api/", "https://other.example"),
        ("https://xwms.nl/api/", "https://xwms.nl/api/", ""),
    ],
)
def test_an_issuer_counts_if_it_is_of_the_api_and_is_none_otherwise(given, issuer, unused):
    config = made(issuer=given)
    assert (config.issuer, config.unused_issuer) == (issuer, unused)


def test_an_issuer_that_followed_from_the_api_follows_from_the_next_one_in_a_copy():
    moved = dataclasses.replace(made(), api_url="https://other.example/api/")
    assert (moved.issuer, moved.unused_issuer) == ("https://other.example/api/", "")
    assert named_faults_of_a_copy(flow="oauth2") == ["issuer"]


def named_faults_of_a_copy(**changes):
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(made(), **changes)
    return [named(one) for one in caught.value.problems]


def test_an_api_that_is_none_is_one_fault_whatever_the_issuer():
    for issuer in ("", "https://xwms.nl", "https://other.example"):
        assert [named(one) for one in faults(api_url="x", issuer=issuer)] == ["api_url"]
