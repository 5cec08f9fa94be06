"""What the store promises to whatever stands above it, also where the pages look before they ask."""

import pytest

from xwms_auth.sandbox.people import PEOPLE
from xwms_auth.sandbox.store import MemoryStore, SignIn

ANNA, BRAM = PEOPLE[:2]


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.begin("first", SignIn(client_id="c", redirect_url="http://localhost/", expires_at=100), now=0)
    return store


def test_a_sign_in_is_approved_once(store):
    assert store.approve("first", ANNA, callback_token="second", now=1)
    assert not store.approve("first", BRAM, callback_token="third", now=1)
    assert store.redeem("third", client_id="c", now=1) is None
    assert store.redeem("second", client_id="c", now=1) == ANNA


def test_an_unknown_or_expired_sign_in_is_not_approved(store):
    assert not store.approve("unknown", ANNA, callback_token="t", now=1)
    assert not store.approve("first", ANNA, callback_token="t", now=100)
    assert store.redeem("t", client_id="c", now=1) is None


def test_an_expired_token_is_worth_nothing(store):
    assert store.approve("first", ANNA, callback_token="t", now=99)
    assert store.redeem("t", client_id="c", now=100) is None
