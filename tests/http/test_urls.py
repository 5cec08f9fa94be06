"""Which redirect URIs a configuration takes: RU-03, RU-04, RU-08, and the API base of SE-10."""

import pytest
from corpus.redirect_uris import GOOD, INSECURE_BAD, INSECURE_GOOD, NEAR_MISSES

from xwms_auth import ConfigError, XWMSConfig

SESSION_SECRET = "r7Qw2mZx9KfT4vLbN6cYpHs1JdGe8Ua3"


def configure(*redirect_uris: str, **options: object) -> XWMSConfig:
    return XWMSConfig(
        client_id="support-desk",
        client_secret="M3nQ8xTz",
        redirect_uris=redirect_uris,
        session_secret=SESSION_SECRET,
        **options,
    )


def problems_of(*redirect_uris: str, **options: object) -> tuple[str, ...]:
    """The faults of a configuration; none where it is taken."""
    try:
        configure(*redirect_uris, **options)
    except ConfigError as error:
        return error.problems
    return ()


def test_the_corpus_is_large_enough_and_says_nothing_twice() -> None:
    bad = [uri for family in NEAR_MISSES.values() for uri in family]
    assert len(bad) >= 70
    assert len(set(GOOD)) == len(GOOD) >= 15
    assert not set(bad) & set(GOOD)
    assert not set(INSECURE_BAD) & {*INSECURE_GOOD, *GOOD}


@pytest.mark.parametrize("family", NEAR_MISSES)
def test_ru_03_a_near_miss_alone_or_beside_a_good_one_is_a_config_error_that_names_the_variable(family: str) -> None:
    for uri in NEAR_MISSES[family]:
        told = problems_of(uri)
        assert any("XWMS_REDIRECT_URI" in problem or "redirect_uris" in problem for problem in told), ascii(uri)
        assert problems_of("https://good.example.com/cb", uri), ascii(uri)


def test_ru_03_a_good_redirect_uri_is_kept_byte_for_byte() -> None:
    for uri in GOOD:
        assert list(configure(uri).redirect_uris) == [uri]


def test_ru_03_several_redirect_uris_keep_their_order() -> None:
    uris = ("https://b.example.com/cb", "https://a.example.com/cb", "http://localhost:5000/cb")
    assert tuple(configure(*uris).redirect_uris) == uris


def test_ru_03_the_fault_of_each_of_several_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        configure("http://a.example.com/cb", "https://b.example.com", "https://c.example.com/cb?d")
    assert len(raised.value.problems) >= 3


def test_ru_03_user_information_is_not_repeated_by_the_error() -> None:
    with pytest.raises(ConfigError) as raised:
        configure("https://user:Pa55phrase@app.example.com/cb")
    assert "Pa55phrase" not in str(raised.value) + repr(raised.value)


def test_ru_03_one_redirect_uri_twice_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        configure("https://app.example.com/cb", "https://app.example.com/cb")


def test_ru_04_plain_http_off_this_machine_needs_the_flag() -> None:
    for uri in INSECURE_GOOD:
        assert problems_of(uri), uri
        assert list(configure(uri, insecure_allow_http=True).redirect_uris) == [uri]


def test_ru_04_plain_http_on_a_public_name_is_refused_even_with_the_flag() -> None:
    for uri in INSECURE_BAD:
        assert problems_of(uri, insecure_allow_http=True), ascii(uri)


def test_ru_04_loopback_http_needs_no_flag() -> None:
    for uri in ("http://localhost:5000/cb", "http://127.0.0.1/cb", "http://[::1]:8000/cb"):
        assert list(configure(uri).redirect_uris) == [uri]
        assert list(configure(uri, insecure_allow_http=True).redirect_uris) == [uri]


def test_ck_18_the_flag_beside_an_https_redirect_uri_is_a_config_error() -> None:
    for uris in (("https://app.example.com/cb",), ("http://devbox/cb", "https://app.example.com/cb")):
        told = problems_of(*uris, insecure_allow_http=True)
        assert any("insecure_allow_http" in problem for problem in told), uris


def test_ru_08_a_redirect_uri_on_another_route_of_ours_is_a_config_error() -> None:
    for path in ("/xwms/auth", "/xwms/logout", "/xwms/me"):
        assert problems_of(f"https://app.example.com{path}"), path


def test_se_10_an_api_base_on_https_or_loopback_is_taken_with_or_without_its_last_slash() -> None:
    for url in (
        "https://xwms.nl/api/",
        "https://xwms.nl/api",
        "https://staging.xwms.nl:8443/api/",
        "http://localhost:8800/api/",
        "http://127.0.0.1:8800/api/",
        "http://[::1]:8800/api/",
    ):
        config = configure("https://app.example.com/cb", api_url=url)
        assert config.api_url.rstrip("/") == url.rstrip("/")


def test_se_10_any_other_api_base_is_a_config_error_that_names_the_variable() -> None:
    for url in (
        "http://xwms.nl/api/",
        "HTTP://xwms.nl/api/",
        "ftp://xwms.nl/api/",
        "//xwms.nl/api/",
        "xwms.nl/api/",
        "/api/",
        "https:///api/",
        "https://:8443/api/",
        "https://user@xwms.nl/api/",
        "https://user:password@xwms.nl/api/",
        "https://xwms.nl/api/?a=b",
        "https://xwms.nl/api/#a",
        "https://xwms.nl/api/../",
        "https://xwms.nl//api/",
        "https://xwms.nl\\@evil.example/api/",
        "https://xwms.nl/api/\r\nX-A: b",
        "https://xwms.nl/a pi/",
        "https://xwms\u3002nl/api/",
        "https://xwms.nl:abc/api/",
        "https://xwms.nl:99999/api/",
        "https://[/api/",
        "http://localhost.evil.example/api/",
        "http://127.0.0.1.evil.example/api/",
        "http://localhost@evil.example/api/",
        "http://0.0.0.0:8800/api/",
        "http://0x7f.1/api/",
        "http://2130706433/api/",
        "http://[::ffff:127.0.0.1]/api/",
        "http://192.168.1.5/api/",
        "http://sandbox:8800/api/",
    ):
        told = problems_of("https://app.example.com/cb", api_url=url)
        assert any("XWMS_API_URI" in problem or "api_url" in problem for problem in told), ascii(url)


def test_se_10_the_flag_does_not_make_a_public_api_base_plain() -> None:
    with pytest.raises(ConfigError):
        configure("http://devbox/cb", api_url="http://xwms.nl/api/", insecure_allow_http=True)
