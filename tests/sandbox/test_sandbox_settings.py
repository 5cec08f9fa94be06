"""What a local XWMS may be started with."""

from datetime import timedelta

import pytest

from tests.sandbox.local_xwms import REDIRECT, settings
from xwms_auth.sandbox import SandboxSettings, create_app


def test_the_secret_is_fresh_and_stays_out_of_the_repr():
    first, second = (SandboxSettings(redirect_uris=(REDIRECT,)) for _ in range(2))
    assert first.client_secret != second.client_secret
    assert len(first.client_secret) >= 32
    assert first.client_secret not in repr(first)


def test_impossible_redirect_uris_are_refused(subtests):
    for uri in [
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
    ]:
        with subtests.test(uri=uri), pytest.raises(ValueError, match="redirect_uris"):
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
            scopes=("userinfo", "everything"),
            faults=("500", "gremlins", "slow=nan"),
        )
    message = str(caught.value)
    for name in ("client_id", "client_secret", "domain", "redirect_uris", "callback_token", "auto_login", "token_life"):
        assert name in message
    assert "scopes must be among userinfo, useraddresses, not everything" in message
    assert "There is no fault 'gremlins'." in message
    assert message.count("faults: ") == 2
    assert "se cret" not in message


def test_a_public_url_must_be_a_url():
    with pytest.raises(ValueError, match="absolute"):
        create_app(settings(), public_url="localhost:8800")


def test_a_fault_of_the_settings_strikes_from_the_start(make_xwms):
    xwms = make_xwms(faults=("503:sign-token:1",))
    assert xwms.call("sign-token", {"redirect_url": REDIRECT}).status_code == 503
    assert xwms.call("sign-token", {"redirect_url": REDIRECT}).status_code == 200


@pytest.mark.parametrize("domain", ["localhost", "App.Example", "127.0.0.1:5000", "under_score", "[::1]"])
def test_the_domain_of_the_settings_is_known_as_it_is_written(make_xwms, domain):
    xwms = make_xwms(domain=domain)
    assert xwms.call("global/countries", {}, X_Client_Domain=domain).status_code == 200
    assert xwms.call("global/countries", {}, X_Client_Domain=f"{domain}x").status_code == 403
