"""The fixtures of which docs/testing.md speaks; those of pytest-playwright and pytest-flask are told in a few lines."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import shop
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server


@pytest.fixture
def app() -> Flask:
    return shop.app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def live_server(app: Flask) -> Iterator[Any]:
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.port}")
    server.shutdown()
    thread.join()
    server.server_close()


class Page:
    def __init__(self) -> None:
        self.context, self.cookies, self.text = self, dict[str, str](), ""

    def add_cookies(self, cookies: list[Any]) -> None:
        self.cookies |= {cookie["name"]: cookie["value"] for cookie in cookies}

    def goto(self, url: str) -> None:
        self.text = httpx2.get(url, cookies=self.cookies).text

    def get_by_text(self, text: str) -> Any:
        return SimpleNamespace(is_visible=lambda: text in self.text)


@pytest.fixture
def page() -> Page:
    return Page()
