"""The fixtures of which docs/testing.md speaks."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import shop


@pytest.fixture
def app() -> Flask:
    return shop.app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio"
