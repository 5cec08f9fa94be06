"""The ways to make the two calls of a login that login_cost.py compares."""

import importlib
import importlib.util
import json
import ssl
from collections.abc import Callable
from typing import Any

from login.server import TOKEN
from xwms_auth import AsyncXWMSClient, XWMSClient, XWMSConfig

REDIRECT_URI = "https://app.example/xwms/validateToken"
HEADERS = {
    "Accept": "application/json",
    "X-Client-Id": "client",
    "X-Client-Secret": "secret-of-a-benchmark",
    "X-Client-Domain": "app.example",
}
CALLS = (
    ("sign-token", {"redirect_url": REDIRECT_URI}),
    ("sign-token-verify", {"token": TOKEN, "redirect_url": REDIRECT_URI}),
)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def settings(url: str) -> XWMSConfig:
    names = {"client_id": "client", "client_secret": "secret-of-a-benchmark", "redirect_uris": REDIRECT_URI}
    return XWMSConfig(**names, domain="app.example", api_url=url, timeout=10)


def body_of(number: int) -> bytes:
    return json.dumps(CALLS[number][1]).encode()


JSON = {**HEADERS, "Content-Type": "application/json"}


class Client:
    """One way to make the calls. `call(number)` makes one of the two, and `close` ends it."""

    is_async = False

    def __init__(self, name: str, call: Callable[[int], Any], close: Callable[[], Any] | None = None) -> None:
        self.name, self.call, self.close = name, call, close or (lambda: None)


class AsyncClient(Client):
    is_async = True


def sync_clients(url: str) -> dict[str, Callable[[], Client]]:
    def ours() -> Client:
        client = XWMSClient(settings(url))
        calls = (lambda: client.sign_token(REDIRECT_URI), lambda: client.verify_token(TOKEN, REDIRECT_URI))
        return Client("ours", lambda number: calls[number](), client.close)

    def requests_post() -> Client:
        requests = importlib.import_module("requests")

        def call(number: int) -> None:  # as in XWMS's guide: a new connection each time
            response = requests.post(url + CALLS[number][0], headers=HEADERS, json=CALLS[number][1], timeout=10)
            assert response.json()["status"] == "success"

        return Client("requests.post", call)

    def urllib3() -> Client:
        pool = importlib.import_module("urllib3").PoolManager(maxsize=64, block=True, ssl_context=trusting())

        def call(number: int) -> None:
            response = pool.request("POST", url + CALLS[number][0], headers=JSON, body=body_of(number), timeout=10)
            assert json.loads(response.data)["status"] == "success"

        return Client("urllib3", call, pool.clear)

    def httpx(name: str) -> Client:
        library = importlib.import_module(name)
        limits = library.Limits(max_connections=64, keepalive_expiry=5)
        client = library.Client(verify=trusting(), limits=limits, timeout=10)

        def call(number: int) -> None:
            response = client.post(url + CALLS[number][0], headers=HEADERS, json=CALLS[number][1])
            assert response.json()["status"] == "success"

        return Client(name, call, client.close)

    def httpcore2() -> Client:
        pool = importlib.import_module("httpcore2").ConnectionPool(trusting(), max_connections=64, keepalive_expiry=5)

        def call(number: int) -> None:
            response = pool.request("POST", url + CALLS[number][0], headers=JSON, content=body_of(number))
            assert json.loads(response.content)["status"] == "success"

        return Client("httpcore2", call, pool.close)

    makers = {"requests": requests_post, "urllib3": urllib3, "httpx": lambda: httpx("httpx")}
    return {"ours": ours, **makers, "httpx2": lambda: httpx("httpx2"), "httpcore2": httpcore2}


def async_clients(url: str) -> dict[str, Callable[[], Client]]:
    def ours() -> Client:
        client = AsyncXWMSClient(settings(url))
        calls = (lambda: client.sign_token(REDIRECT_URI), lambda: client.verify_token(TOKEN, REDIRECT_URI))
        return AsyncClient("ours", lambda number: calls[number](), client.aclose)

    def httpx(name: str) -> Client:
        library = importlib.import_module(name)
        limits = library.Limits(max_connections=64, keepalive_expiry=5)
        client = library.AsyncClient(verify=trusting(), limits=limits, timeout=10)

        async def call(number: int) -> None:
            response = await client.post(url + CALLS[number][0], headers=HEADERS, json=CALLS[number][1])
            assert response.json()["status"] == "success"

        return AsyncClient(name, call, client.aclose)

    def httpcore2() -> Client:
        library = importlib.import_module("httpcore2")
        pool = library.AsyncConnectionPool(trusting(), max_connections=64, keepalive_expiry=5)

        async def call(number: int) -> None:
            response = await pool.request("POST", url + CALLS[number][0], headers=JSON, content=body_of(number))
            assert json.loads(response.content)["status"] == "success"

        return AsyncClient("httpcore2", call, pool.aclose)

    def aiohttp() -> Client:
        library = importlib.import_module("aiohttp")
        connector = library.TCPConnector(ssl=trusting(), limit=64, keepalive_timeout=5)
        session = library.ClientSession(connector=connector)

        async def call(number: int) -> None:
            async with session.post(url + CALLS[number][0], headers=JSON, data=body_of(number)) as response:
                assert json.loads(await response.read())["status"] == "success"

        return AsyncClient("aiohttp", call, session.close)

    return {
        "ours": ours,
        "httpx": lambda: httpx("httpx"),
        "httpx2": lambda: httpx("httpx2"),
        "httpcore2": httpcore2,
    } | {"aiohttp": aiohttp}


def installed(makers: dict[str, Callable[[], Client]], wanted: set[str]) -> list[Callable[[], Client]]:
    def is_there(name: str) -> bool:
        return name == "ours" or importlib.util.find_spec(name) is not None

    return [maker for name, maker in makers.items() if is_there(name) and (not wanted or name in wanted)]
