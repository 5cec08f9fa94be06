"""URLs at the limits of what is taken, part by part; and where XWMS's sign-in page may lead."""

import pytest

from xwms_auth._core.http.messages import MAX_LOCATION
from xwms_auth._core.http.next_url import MAX_NEXT, safe_next
from xwms_auth._core.http.urls import (
    check_route_path,
    is_below,
    is_loopback,
    is_plain,
    login_url_fault,
    origin_of,
    parse_api_url,
    parse_endpoint,
    parse_origin,
    parse_redirect_uri,
    parse_url,
)

LABEL = "a" * 63
LONG_HOST = ".".join([LABEL] * 3 + ["b" * 61])  # 253 characters


def is_taken(parse, value, **options) -> bool:
    try:
        parse(value, **options)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://a.example", ("https", "a.example", None, "", "a.example")),
        ("http://a.example/", ("http", "a.example", None, "/", "a.example")),
        ("https://a.example:8443/b", ("https", "a.example", 8443, "/b", "a.example:8443")),
        ("https://a.example:80", ("https", "a.example", 80, "", "a.example:80")),
        ("http://a.example:443", ("http", "a.example", 443, "", "a.example:443")),
        ("https://[2001:db8::1]:1", ("https", "[2001:db8::1]", 1, "", "[2001:db8::1]:1")),
        ("https://[2001:db8::1]", ("https", "[2001:db8::1]", None, "", "[2001:db8::1]")),
        ("https://127.0.0.1:65535", ("https", "127.0.0.1", 65535, "", "127.0.0.1:65535")),
        ("https://a/!~", ("https", "a", None, "/!~", "a")),
        (f"https://{LONG_HOST}", ("https", LONG_HOST, None, "", LONG_HOST)),
        ("https://a-1.example", ("https", "a-1.example", None, "", "a-1.example")),
        ("https://0.example", ("https", "0.example", None, "", "0.example")),
    ],
)
def test_a_url_has_the_parts_that_it_says(url, parts):
    parsed = parse_url(url)
    assert (parsed.scheme, parsed.host, parsed.port, parsed.path, parsed.netloc) == parts
    assert parsed.origin == f"{parts[0]}://{parts[4]}"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://a b",
            "https://a/\x7f",
            "https://a/\u00e9",
            "https://a/ ",
            "https://a\\b",
            "https://*.a",
            "https://a/*",
        ),
        *("https://a?", "https://a#", "https://a/?b", "https://a/#b", "ftp://a", "://a", "a", "https:a", "//a", ""),
        *("https://", "https://@a", "https://b@a", "https://a:443", "http://a:80", "https://a:", "https://a:0"),
        *(
            "https://a:01",
            "https://a:65536",
            "https://a:100000",
            "https://a:1_0",
            "https://a:+1",
            "https://a:x",
            "https://:1",
        ),
        *(
            f"https://{LONG_HOST}b",
            f"https://{LABEL}a.b",
            "https://a..b",
            "https://a.",
            "https://.a",
            "https://-a",
            "https://a-",
        ),
        *("https://A", "https://a_b", "https://a.-b", "https://a-.b"),
        *(
            "https://a/\\b",
            "https://a/\x00",
            "https://[::ffff:7f00:1]",
            "https://[::ffff:127.0.0.1]",
            "https://127.1",
            "https://0x7f.0x1",
            "https://a.0x1",
            "https://a.1",
            "https://256.0.0.1",
            "https://2130706433",
        ),
        *(
            "https://[::1",
            "https://[::ffff:127.0.0.1]",
            "https://[fe80::1%1]",
            "https://[2001:DB8::1]",
            "https://[::0]",
        ),
        *("https://[]", "https://[::1]x", "https://[::1]:0", "https://[a]", "https://[127.0.0.1]"),
    ],
)
def test_a_url_that_is_only_nearly_one_is_refused(url):
    assert not is_taken(parse_url, url), url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *[(host, True) for host in ("localhost", "[::1]", "127.0.0.1", "127.255.255.254")],
        *[(host, False) for host in ("localhost.example", "[::2]", "128.0.0.1", "126.0.0.1", "a.localhost", "::1", "")],
    ],
)
def test_which_hosts_are_this_machine(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "host",
    ["devbox", "a.local", "a.internal", "a.test", "a.localhost", "10.0.0.1", "192.168.1.1", "[fd00::1]"],
)
def test_plain_http_is_for_this_machine_and_with_the_flag_for_hosts_that_nobody_else_reaches(host):
    for parse in (parse_redirect_uri, parse_api_url, parse_endpoint):
        assert is_taken(parse, f"https://{host}/cb")
        assert not is_taken(parse, f"http://{host}/cb")
        assert is_taken(parse, f"http://{host}/cb", allow_http=True)
        for loopback in ("localhost", "127.0.0.1", "[::1]"):
            assert is_taken(parse, f"http://{loopback}/cb")
        for public in ("a.example", "8.8.8.8", "[2600::1]", "local", "alocal.nl")[:3]:
            assert not is_taken(parse, f"http://{public}/cb", allow_http=True), public


def test_a_redirect_uri_is_kept_as_it_is_and_knows_the_hosts_that_match_it():
    uri = parse_redirect_uri("https://a.example/cb")
    assert (uri.uri, uri.path, uri.secure) == ("https://a.example/cb", "/cb", True)
    assert uri.host_names == {"a.example", "a.example:443"}
    assert parse_redirect_uri("https://a.example:8443/cb").host_names == {"a.example:8443"}
    local = parse_redirect_uri("http://localhost/cb")
    assert (local.secure, local.loopback, uri.loopback) == (False, True, False)
    assert local.host_names == {"localhost", "localhost:80"}


@pytest.mark.parametrize("path", ["", "/a//b", "/a/./b", "/a/..", "/./a", "/%61", "/a|b", "//a", "/a/b//"])
def test_a_path_that_not_everybody_reads_alike_is_no_callback(path):
    assert not is_taken(parse_redirect_uri, f"https://a.example{path}")


def test_a_path_may_end_in_a_slash_and_have_what_a_path_has():
    for path in ("/", "/cb/", "/a/b", "/-._~!$&'()+,;=:@/", "/...", "/.a", "/a..b"):
        assert parse_redirect_uri(f"https://a.example{path}").path == path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://xwms.nl", "/"),
        ("https://xwms.nl/", "/"),
        ("https://xwms.nl/api", "/api/"),
        ("https://xwms.nl/api/", "/api/"),
    ],
)
def test_an_api_base_ends_in_a_slash(url, path):
    assert parse_api_url(url).path == path


def test_an_api_base_of_a_doubtful_path_is_refused():
    for path in ("/a//b", "/a/../b", "/%61/", "/a//"):
        assert not is_taken(parse_api_url, f"https://xwms.nl{path}")


def fault_of(parse, value) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        parse(value)
    return str(error.value)


def test_the_fault_of_a_url_is_the_one_that_helps():
    assert fault_of(parse_redirect_uri, "https://a.example").startswith("has no path; write the callback path")
    assert fault_of(parse_redirect_uri, "https://a.example/%61").startswith("has percent-encoding in its path")
    assert fault_of(parse_url, "https").startswith("is not an absolute URL")
    assert fault_of(check_route_path, "/").startswith("must not be empty")


def test_an_endpoint_may_have_a_query_and_no_fragment():
    assert parse_endpoint("https://a.example/b?c").path == "/b"
    for url in ("https://a.example", "https://a.example/b?c=d", "https://a.example/b?!~X", "https://a.example?"):
        assert is_taken(parse_endpoint, url), url
    for query in ("#", "a b", "a\\b", 'a"', "a<", "a>", "\x7f", "\u00e9", " "):
        assert not is_taken(parse_endpoint, f"https://a.example/b?{query}"), query
    for value in (None, 5, b"https://a.example", "https://a.example/#b"):
        assert not is_taken(parse_endpoint, value)
    longest = "https://a.example/".ljust(MAX_NEXT, "a")
    assert is_taken(parse_endpoint, longest)
    assert not is_taken(parse_endpoint, longest + "a")


def test_an_endpoint_is_on_https_where_it_must_be():
    assert is_taken(parse_endpoint, "http://localhost/a")
    assert not is_taken(parse_endpoint, "http://localhost/a", secure=True)
    assert is_taken(parse_endpoint, "https://localhost/a", secure=True)


def test_an_origin_is_nothing_more_than_that():
    for origin in (
        "https://a.example",
        "https://a.example:8443",
        "http://localhost:80" + "80",
        "https://[2001:db8::1]",
    ):
        assert parse_origin(origin).origin == origin
    for value in (
        "https://a.example/",
        "https://a.example/a",
        "http://a.example",
        "http://devbox",
        "null",
        "a.example",
    ):
        assert not is_taken(parse_origin, value), value


def test_a_route_of_ours_is_a_plain_path_with_an_end():
    for path in ("/a", "/a/b", "/xwms/auth"):
        check_route_path(path)
    for path in ("", "/", "/a/", "a", "/a//b", "/a/../b", "/%61", "/a?b", "/a b"):
        with pytest.raises(ValueError, match=r"path|slash"):
            check_route_path(path)


def test_what_is_below_a_prefix_continues_it_with_a_slash():
    assert [is_below(path, "/a") for path in ("/a", "/a/", "/a/b", "/ab", "/", "/b/a", "")] == [True] * 3 + [False] * 4


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        *[(path, True) for path in ("/", "/a/b", "/a/", "/a;b", "/...", "/a.b", "/;x")],
        *[
            (path, False)
            for path in ("//", "/a//b", "/a\\b", "/a%20", "/.", "/..", "/a/../b", "/a/.", "/a/..;x/b", "/.;")
        ],
    ],
)
def test_which_paths_everybody_reads_alike(path, plain):
    assert is_plain(path) is plain


XWMS = "https://xwms.nl/api/"
CHARACTERS = "it has characters that a URL cannot have, or is too long"
NOT_HTTPS = "it is not https"
OTHER_HOST = "its host is neither the API's nor a subdomain of it"
NOT_LOOPBACK = "its host is not the API's"
OTHER_PORT = "its port is not the API's"
OTHER_ORIGIN = "its origin is not one of login_origins"


@pytest.mark.parametrize(
    ("url", "api", "origins", "fault"),
    [
        ("https://xwms.nl/login?a=b#c", XWMS, (), None),
        ("https://login.xwms.nl/a", XWMS, (), None),
        ("https://a.b.xwms.nl", XWMS, (), None),
        ("https://evil.example/", XWMS, (), OTHER_HOST),
        ("https://evilxwms.nl/", XWMS, (), OTHER_HOST),
        ("https://xwms.nl.evil.example/", XWMS, (), OTHER_HOST),
        ("https://nl/", XWMS, (), OTHER_HOST),
        ("http://xwms.nl/", XWMS, (), NOT_HTTPS),
        ("https://xwms.nl:444/", XWMS, (), OTHER_PORT),
        ("https://login.xwms.nl:444/", XWMS, (), OTHER_PORT),
        ("https://xwms.nl/", "https://xwms.nl:444/api/", (), OTHER_PORT),
        ("https://xwms.nl:444/", "https://xwms.nl:444/api/", (), None),
        ("http://devbox/login", "http://devbox/api/", (), None),
        ("https://devbox/login", "http://devbox/api/", (), None),
        ("http://localhost:1/a", "http://localhost:8800/api/", (), None),
        ("https://localhost/a", "http://localhost:8800/api/", (), None),
        ("http://127.0.0.1:8800/a", "http://localhost:8800/api/", (), NOT_LOOPBACK),
        ("http://a.localhost:8800/a", "http://localhost:8800/api/", (), NOT_LOOPBACK),
        ("https://id.example/a", XWMS, ("https://id.example",), None),
        ("https://xwms.nl/a", XWMS, ("https://id.example",), OTHER_ORIGIN),
        ("https://id.example:1/a", XWMS, ("https://id.example",), OTHER_ORIGIN),
        ("http://id.example/a", XWMS, ("https://id.example",), OTHER_ORIGIN),
        ("https://xwms.nl/a b", XWMS, (), CHARACTERS),
        ("https://xwms.nl/\u00e9", XWMS, (), CHARACTERS),
        ("https://xwms.nl/\x7f", XWMS, (), CHARACTERS),
        *[(f"https://xwms.nl/{char}", XWMS, (), CHARACTERS) for char in '\\"<>^`{|}'],
        *[(f"https://xwms.nl/{char}", XWMS, (), None) for char in ("!", "~", "X", "?!", "?~")],
        *[(f"https://xwms.nl/?{char}", XWMS, (), CHARACTERS) for char in (" ", "\x7f", "\u00e9", "\r\n")],
        *[(f"https://xwms.nl/#{char}", XWMS, (), CHARACTERS) for char in (" ", "\x7f", "\u00e9", "\t")],
        ("javascript:alert(1)", XWMS, (), "it is not an absolute URL that starts with https://"),
        ("/login", XWMS, (), "it is not an absolute URL that starts with https://"),
        ("https://user@xwms.nl/", XWMS, (), "it has user information before the host"),
        ("https://xwms.nl/".ljust(MAX_LOCATION, "a"), XWMS, (), None),
        ("https://xwms.nl/".ljust(MAX_LOCATION + 1, "a"), XWMS, (), CHARACTERS),
    ],
)
def test_where_the_sign_in_page_of_xwms_may_lead(url, api, origins, fault):
    assert login_url_fault(url, origins=origins, api=parse_api_url(api, allow_http=True)) == fault


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/b?c#d", "https://a.example"),
        ("http://a.example:1", "http://a.example:1"),
        ("about:blank", None),
        ("//a.example", None),
        ("https:///b", None),
        ("a", None),
        ("", None),
        ("https://[", None),
    ],
)
def test_the_origin_of_a_referer(url, origin):
    assert origin_of(url) == origin


def test_five_layers_of_percent_encoding_are_looked_through_and_six_are_refused():
    layered = "/a%" + "25" * 4 + "20b"
    assert safe_next(layered, own_paths=()) == layered
    assert safe_next("/a%" + "25" * 5 + "20b", own_paths=()) is None


@pytest.mark.parametrize("origins", [(), ("https://b.example",), ("https://b.example", "https://a.example")])
def test_the_longest_next_counts_with_its_origin(origins):
    begin = f"{origins[-1]}/" if origins else "/"
    for length, allowed in ((len(begin), True), (MAX_NEXT, True), (MAX_NEXT + 1, False)):
        value = begin.ljust(length, "a")
        assert safe_next(value, own_paths=(), origins=origins) == (value if allowed else None)
    # What quoting lengthens counts as it is sent.
    value = begin.ljust(MAX_NEXT - 1, "a")
    assert safe_next(value + "\u00e9", own_paths=(), origins=origins) is None


def test_a_next_on_an_origin_that_is_not_trusted_is_refused():
    for value in (
        "https://b.example/",
        "https://a.example",
        "https://a.example.evil/",
        "https://a.example//b",
        "a",
        " /a",
        "/a ",
    ):
        assert safe_next(value, own_paths=(), origins=("https://a.example",)) is None, value


@pytest.mark.parametrize("path", ["/own", "/own/", "/OWN", "/own;x", "/%6fwn", "/own?a", "/own#a", "/own/?a"])
def test_a_route_of_ours_is_no_next_however_it_is_written(path):
    for own in ("/own", "/own/", "/OWN"):
        assert safe_next(path, own_paths=("/other", own)) is None
    assert safe_next("/own/more", own_paths=("/own",)) == "/own/more"
    assert safe_next("/owner", own_paths=("/own",)) == "/owner"


@pytest.mark.parametrize("char", [" ", "\u00a0", "\u00e9", "~", "!", "\ue000", "\ud7ff"])
def test_a_character_beside_the_refused_ones_is_allowed_within_a_path(char):
    assert safe_next(f"/a{char}b", own_paths=()) is not None


@pytest.mark.parametrize("char", ["\x1f", "\x7f", "\x80", "\x9f", "\\", "\ud800", "\udfff"])  # noqa: PT014  the linter takes these two for one
def test_the_first_and_the_last_refused_characters_are_refused_in_path_query_and_fragment(char):
    for value in (f"/a{char}b", f"/a?{char}", f"/a#{char}"):
        assert safe_next(value, own_paths=()) is None
