"""Requests and responses between a door and the login: what is parsed, what fits, and what a cookie says."""

import pytest

from xwms_auth._core.http.messages import (
    COMMON_HEADERS,
    MAX_HEADERS,
    MAX_QUERY_FIELDS,
    MAX_SESSION_COOKIE,
    NO_CONTENT_POLICY,
    CookieNames,
    Request,
    Response,
    cookie_tag_of,
    fits,
    header_bytes,
    is_form,
    parse_form,
    read_cookie,
    read_cookies,
    set_cookie,
)


def test_each_value_of_a_parameter_is_found_in_its_order():
    request = Request(method="GET", path="/", query="a=1&b=2&a=&a=3&=4&c", headers={"x-a": "1"})
    assert request.parameters("a") == ["1", "", "3"]
    assert (request.parameters("c"), request.parameters("d")) == ([""], [])
    assert (request.header("x-a"), request.header("x-b")) == ("1", None)


def test_a_query_of_too_many_fields_has_none_and_bytes_that_are_no_text_stay_told_apart():
    assert len(parse_form("&".join(["a=1"] * MAX_QUERY_FIELDS))) == MAX_QUERY_FIELDS
    assert parse_form("&".join(["a=1"] * (MAX_QUERY_FIELDS + 1))) == []
    assert parse_form("a=%ff") == [("a", "\udcff")]


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("application/x-www-form-urlencoded", True),
        ("APPLICATION/X-WWW-FORM-URLENCODED", True),
        ("\t application/x-www-form-urlencoded ; charset=utf-8", True),
        ("application/x-www-form-urlencodedX", False),
        ("Xapplication/x-www-form-urlencoded", False),
        ("\u00a0application/x-www-form-urlencoded", False),
        ("text/plain; application/x-www-form-urlencoded", False),
        ("", False),
    ],
)
def test_what_is_a_form(content_type, form):
    assert is_form(content_type) is form


def test_a_redirect_reflects_nothing_and_is_not_kept():
    response = Response.redirect(303, "/next", cookies=["a=1"], deferrable=["b=2"], shorter="/")
    assert (response.status, response.body, response.cookies, response.deferrable) == (303, "", ("a=1",), ("b=2",))
    assert response.shorter == "/"
    headers = response.header_list()
    assert headers[0] == ("Location", "/next")
    assert set(COMMON_HEADERS) <= set(headers)
    assert ("Content-Security-Policy", NO_CONTENT_POLICY) in headers
    assert headers[-3:] == [("Content-Length", "0"), ("Set-Cookie", "b=2"), ("Set-Cookie", "a=1")]
    assert not response.logged_in


def test_the_length_is_that_of_the_bytes():
    assert Response(status=200, body="caf\u00e9").header_list() == [("Content-Length", "5")]


def response_of(name: str = "Location", *, shorter: str | None = "/s", deferrable: tuple[str, ...] = ()) -> Response:
    return Response(status=303, headers=((name, "/long"),), cookies=("a=1",), deferrable=deferrable, shorter=shorter)


def leads_to(response: Response, reserved: int) -> str:
    return dict(response.header_list(reserved=reserved))[response.headers[0][0]]


@pytest.mark.parametrize("name", ["Location", "HX-Redirect"])
def test_it_leads_to_the_shorter_address_only_where_the_other_does_not_fit(name):
    response = response_of(name)
    whole = header_bytes([(name, "/long"), ("Content-Length", "0"), ("Set-Cookie", "a=1")])
    room = MAX_HEADERS - whole
    assert [leads_to(response, reserved) for reserved in (0, room, room + 1)] == ["/long", "/long", "/s"]
    assert leads_to(response_of(name, shorter=None), MAX_HEADERS) == "/long"
    assert leads_to(response_of("Link"), MAX_HEADERS) == "/long"


def test_a_cookie_that_can_wait_is_left_out_where_it_does_not_fit_and_so_is_what_follows():
    response = response_of(deferrable=("b=22", "c=33", "d=4"))
    whole = header_bytes(response_of().header_list())
    one, two = (whole + number * header_bytes([("Set-Cookie", "b=22")]) for number in (1, 2))

    def kept(limit: int) -> list[str]:
        headers = response.header_list(reserved=MAX_HEADERS - limit)
        return [value for name, value in headers if name == "Set-Cookie"]

    assert kept(whole) == ["a=1"]
    assert kept(one - 1) == ["a=1"]
    assert kept(one) == ["b=22", "a=1"]
    assert kept(two - 1) == ["b=22", "a=1"]
    assert kept(two) == ["b=22", "c=33", "a=1"]
    assert kept(MAX_HEADERS) == ["b=22", "c=33", "d=4", "a=1"]


def test_the_bytes_of_headers_are_those_on_the_wire():
    assert header_bytes([("A", "b"), ("Set-Cookie", "c=d")]) == len("A: b\r\nSet-Cookie: c=d\r\n")


def test_the_names_of_cookies_tell_clients_and_https_apart():
    assert CookieNames.of("t", secure=True) == CookieNames(
        session="__Host-xwms_session_t", login="__Host-xwms_login_t_", ahead="__Host-xwms_ahead_t", secure=True
    )
    assert CookieNames.of("t", secure=False) == CookieNames(
        session="xwms_session_t", login="xwms_login_t_", ahead="xwms_ahead_t", secure=False
    )
    assert cookie_tag_of("one") == "7692c3ad"
    assert cookie_tag_of("\ud800") != cookie_tag_of("\ud801")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("a=1", "1"),
        ("a=1; b=2", "1"),
        ("b=2; a=1", "1"),
        ("b=2;a=1", "1"),
        ("b=2;\t a=1 \t; c", "1"),
        (" a=1", "1"),
        ("a=", ""),
        ("a=1=2", "1=2"),
        ("a=1 \t", "1"),
        ("Xa=1", None),
        ("a=1X", "1X"),
        ("b=2;a=1X", "1X"),
        ("xa=1; ", None),
        ("=; ax=1", None),
        ("b=2;Xa=1", None),
        ("a=1 2", "1 2"),
        ("aa=2; a=1", "1"),
        ("a=1; aa=2", "1"),
        ("b=a; a=1", "1"),
        ("b=a=3; a=1", "1"),
        ("b=2; xa=3; a=1", "1"),
        ("a; a=1", "1"),
        ("", None),
        ("b=2", None),
        ("a", None),
        ("aa=1", None),
        ("b a=1", None),
        ("\xa0a=1", None),
        ("b=2;\xa0a=1", None),
        ("b=2,a=1", None),
        ("a =1", None),
        ("A=1", None),
        ("a=1; a=2", None),
        ("a=1;a=1", None),
        ("a=1; b=2; a=1", None),
    ],
)
def test_a_cookie_is_read_as_it_came_and_only_if_it_is_the_only_one(header, value):
    assert read_cookie(header, "a") == value


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("p_1=a; p_2=b; q=c", {"1": "a", "2": "b"}),
        (" p_1=a=b\t;\tp_=c", {"1": "a=b", "": "c"}),
        ("p_1=a; p_1=a; p_2=b; p_1=c", {"2": "b"}),
        ("p_1; xp_2=a; p_3=", {"3": ""}),
        ("\xa0p_1=a", {}),
        ("Xp_1=a", {}),
        ("p_1=aX", {"1": "aX"}),
        ("", {}),
    ],
)
def test_the_cookies_of_a_prefix_are_those_that_came_once(header, found):
    assert read_cookies(header, "p_") == found


def test_a_cookie_is_for_this_host_and_for_no_script():
    assert set_cookie("a", "1", secure=True, max_age=7) == "a=1; Path=/; Max-Age=7; HttpOnly; SameSite=Lax; Secure"
    assert set_cookie("a", "", secure=False, max_age=0) == "a=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"


def test_the_longest_session_cookie_fills_its_room_with_the_longest_names():
    name = CookieNames.of("t" * 16, secure=True).session
    around = header_bytes([("Set-Cookie", set_cookie(name, "", secure=True, max_age=400 * 24 * 3600))])
    longest = MAX_SESSION_COOKIE - around
    assert [fits("x" * length) for length in (0, longest, longest + 1)] == [True, True, False]
