"""Functions of a Starlette application, on asyncio and trio: plain ones, async ones, and objects of either kind."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from xwms_auth.starlette import XWMSAuthMiddleware, require
from xwms_auth.testing import LocalXWMS, local_xwms


@pytest.fixture
def xwms() -> Iterator[LocalXWMS]:
    with local_xwms() as xwms:
        yield xwms


KINDS = ["function", "async function", "object", "async object", "partial of an async function"]


def made(kind: str, result: Any) -> Any:
    """Something of this kind that takes any arguments and returns this."""

    def function(*_: Any) -> Any:
        return result

    async def asynchronous(*_: Any) -> Any:
        return result

    class Called:
        def __call__(self, *_: Any) -> Any:
            return result

    class CalledAsync:
        async def __call__(self, *_: Any) -> Any:
            return result

    return dict(zip(KINDS, [function, asynchronous, Called(), CalledAsync(), partial(asynchronous)], strict=True))[kind]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", KINDS)
def test_roles_and_the_answer_to_strangers_may_be_of_any_kind(xwms, backend, kind):
    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.user.display_name)

    door = Middleware(
        XWMSAuthMiddleware,
        config=xwms.config(),
        roles=made(kind, ["editor"]),
        unauthorized=made(kind, PlainTextResponse("who are you?", 418)),
    )
    app = Starlette(routes=[Route("/", require(role="editor")(page))], middleware=[door])
    with TestClient(app, backend=backend, follow_redirects=False) as client:
        assert (client.get("/").status_code, client.get("/").text) == (418, "who are you?")
        xwms.login(client, "1001")
        assert (client.get("/").status_code, client.get("/").text) == (200, "Anna de Vries")
