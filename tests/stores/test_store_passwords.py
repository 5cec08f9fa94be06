"""SE-04, SE-08: the password in a store's address is for its server, not for who looks at objects or crash reports."""

import asyncio
import logging
import sys
from itertools import product
from typing import Any

import pytest

from tests.base.test_secret_exposure import USES, attempt, shown
from tests.tools.fake_xwms import CANARY as CLIENT_SECRET
from tests.tools.fake_xwms import REDIRECT_URI
from tests.tools.redis_server import redis_server
from xwms_auth import ConfigError, Secret, XWMSConfig
from xwms_auth._core.base.errors import StoreUnavailable
from xwms_auth._core.config.context import Context
from xwms_auth.stores import open_store

PASSWORD = "canary-Passw0rd-0123456789"
KEY = "canary-session-secret-0123456789-abcdef"
ADDRESSES = [
    f"redis://:{PASSWORD}@127.0.0.1:1/0",
    f"rediss://somebody:{PASSWORD}@127.0.0.1:1",
    f"redis+cluster://:{PASSWORD}@127.0.0.1:1",
    f"unix:///no/such/socket?password={PASSWORD}",
    f"redis://127.0.0.1:1/0?p%61ssword={PASSWORD}",
    f"postgresql+psycopg://somebody:{PASSWORD}@127.0.0.1:1/app",
    f"postgresql+psycopg://127.0.0.1:1/app?password={PASSWORD}",
]
OPTIONS = ["session_store", "revocation_store"]
both_colours = pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])


def configured(**options: Any) -> XWMSConfig:
    return XWMSConfig(
        client_id="desk", client_secret=CLIENT_SECRET, session_secret=KEY, redirect_uris=REDIRECT_URI, **options
    )


def load(config: XWMSConfig, *, is_async: bool) -> object:
    """What a request with a cookie asks of the store; of a cookie store, what a logout does."""
    store = open_store(Context.of(config), is_async=is_async)
    asked: Any = store.load("x" * 43, now=5) if config.session_store != "cookie" else store.revoke_client(now=5)

    async def waited() -> object:
        return await asked

    return asyncio.run(waited()) if is_async else asked


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.partition(":")[0])
def test_se_08_nothing_one_can_do_with_a_config_shows_the_password_of_its_store(address):
    """SE-08"""
    for option, given in product(OPTIONS, [address, Secret(address)]):
        config = configured(**{option: given})
        for use in USES:
            assert PASSWORD not in attempt(USES[use], config), (option, use)


@both_colours
def test_se_04_a_store_that_is_down_shows_it_in_no_frame_and_no_line(is_async, caplog):
    """SE-04"""
    caplog.set_level(logging.DEBUG)
    for address, option in product(ADDRESSES, OPTIONS):
        with pytest.raises(StoreUnavailable) as caught:
            load(configured(**{option: address}), is_async=is_async)
        assert PASSWORD not in shown(caught.value), (address, option)
        assert PASSWORD not in caplog.text, (address, option)


@both_colours
def test_se_04_a_store_without_its_library_shows_it_in_no_frame(is_async, monkeypatch):
    """SE-04"""
    for name in [name for name in sys.modules if name.startswith(("redis.", "xwms_auth.stores.redis_connections"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("redis", "psycopg"):
        monkeypatch.setitem(sys.modules, name, None)
    for address, option in product(ADDRESSES, OPTIONS):
        config = configured(**{option: address})
        with pytest.raises(ConfigError) as caught:
            open_store(Context.of(config), is_async=is_async)
        told = "is not installed: psycopg" if address.startswith("postgresql") else "xwms-auth[redis]"
        assert told in str(caught.value), (address, option)
        assert PASSWORD not in shown(caught.value), (address, option)


WRONG_ADDRESSES = [
    f"postgres://somebody:{PASSWORD}@db.example/app",
    f"redis://:{PASSWORD}@",
    f"redis://:{PASSWORD}@host:port",
    f"redis://host/0?password={PASSWORD}&foo=1",
]


def test_se_04_a_wrong_address_is_refused_without_its_password():
    """SE-04: from code and from the environment."""
    variables = {"XWMS_CLIENT_ID": "desk", "XWMS_CLIENT_SECRET": CLIENT_SECRET, "XWMS_REDIRECT_URI": REDIRECT_URI}
    for address, option in product(WRONG_ADDRESSES, OPTIONS):
        with pytest.raises(ConfigError) as caught:
            configured(**{option: address})
        assert PASSWORD not in shown(caught.value), (address, option)
        with pytest.raises(ConfigError) as caught:
            XWMSConfig.from_env({**variables, f"XWMS_{option.upper()}": address})
        assert PASSWORD not in shown(caught.value), (address, option)


@both_colours
def test_redis_itself_gets_it(tmp_path, is_async):
    with redis_server(tmp_path, password=PASSWORD) as server:
        for address in (server.url, f"redis://127.0.0.1:{server.port}/0?password={PASSWORD}"):
            for option in OPTIONS:
                assert load(configured(**{option: address}), is_async=is_async) is None, (address, option)


def test_an_address_without_a_password_stays_the_text_it_is():
    for address in ("cookie", "memory://", "redis://localhost:6379/1", "sqlite:////tmp/me@home-password.sqlite3"):
        assert configured(session_store=address).session_store == address
        assert configured(session_store=Secret(address)).session_store == address
