"""What a local XWMS may be started with."""

from datetime import timedelta

import pytest
from local_xwms import REDIRECT, settings

from xwms_auth.sandbox import SandboxSettings, create_app


def test_the_secret_is_fresh_and_stays_out_of_the_repr():
    first, second = (SandboxSettings(redirect_uris=(REDIRECT,)) for _ in range(2))
    assert first.client_secret != second.client_secret
    assert len(first.client_secret) >= 32
    assert first.client_secret not in repr(first)


@pytest.mark.parametrize(
    "uri",
    [
        "/callback",
        "localhost:5000/cb",
        "ftp://localhost/cb",
        "http:///cb",
        "http://user@localhost/cb",
        "http://localhost/cb#top",
        "http://localhost/cb#",
        "http://localhost:99999/cb",
        "http://localhost:0/cb",
        "http://[::1/cb",
        "http://lo;calhost/cb",
        "http://localhost/a b",
        "http://localhost/\u00e9",
        "http://localhost/\r\nSet-Cookie: a=b",
        "http://localhost\\@evil.example/",
    ],
)
def test_impossible_redirect_uris_are_refused(uri):
    with pytest.raises(ValueError, match="redirect_uris"):
        settings(redirect_uris=(uri,))


def test_all_faults_are_named_at_once_and_without_the_secret():
    with pytest.raises(ValueError) as caught:
        settings(
            client_id="",
            client_secret="se cret",
            domain="d\u00f6main",
            redirect_uris=(),
            callback_token="either",
            auto_login="",
            token_lifetime=timedelta(0),
        )
    message = str(caught.value)
    for name in ("client_id", "client_secret", "domain", "redirect_uris", "callback_token", "auto_login", "token_life"):
        assert name in message
    assert "se cret" not in message


def test_a_public_url_must_be_a_url():
    with pytest.raises(ValueError, match="absolute"):
        create_app(settings(), public_url="localhost:8800")
