"""SM-01: Litestar and BlackSheep make no person out of a request. FastAPI is in test_person_from_a_request.py."""

import asyncio
import dataclasses
import warnings
from typing import Optional

import pytest
from blacksheep import Application, FromForm, FromJSON
from blacksheep.contents import FormContent, JSONContent
from blacksheep.server.routing import Router
from blacksheep.testing import TestClient as BlackSheepClient
from litestar import Litestar, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import LitestarDeprecationWarning
from litestar.testing import TestClient as LitestarClient

from xwms_auth import AccessToken, Identity, User, UserInfo

FORGED = {"issuer": "https://xwms.nl", "sub": "admin"}
TOKEN = {**FORGED, "client_id": "c", "scopes": ["admin"], "expires_at": None}
PERSON = User(issuer="https://xwms.nl", sub="1", name="Ada")

pytestmark = pytest.mark.more_packages


# --- Litestar, which reads with msgspec ------------------------------------------------------------------------------


@dataclasses.dataclass
class Envelope:
    user: User


def litestar(annotation):
    async def view(data: object) -> str:
        return f"PERSON {data}"

    view.__annotations__["data"] = annotation
    with warnings.catch_warnings():
        # What people write today is what is tried here; the next Litestar wants it marked.
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        return Litestar([post("/")(view)], logging_config=None)


IN_A_BODY = [User, UserInfo, AccessToken, Identity, list[User], Envelope]
BODIES = [FORGED, TOKEN, [FORGED], {"user": FORGED}, ["https://xwms.nl", "admin"], {"issuer": None, "sub": None}]


@pytest.mark.parametrize("annotation", [*IN_A_BODY, User | None])
def test_sm_01_litestar_reads_nobody_from_a_body(annotation):
    """SM-01"""
    with LitestarClient(litestar(annotation)) as client:
        for given in BODIES:
            answer = client.post("/", json=given)
            assert answer.status_code == 400, (given, answer.text)
            assert "PERSON" not in answer.text, given


def test_a_person_can_be_given_to_an_endpoint_of_litestars_and_be_its_answer():
    async def whoever() -> User:
        return PERSON

    @get("/", dependencies={"user": Provide(whoever)})
    async def view(user: NamedDependency[User]) -> User:
        return user

    with LitestarClient(Litestar([view], logging_config=None)) as client:
        assert client.get("/").json().items() >= PERSON.claims().items()
        assert client.get("/schema/openapi.json").status_code == 200


# --- BlackSheep, which reads with code of its own --------------------------------------------------------------------


def blacksheep(annotation, contents, *default) -> list[tuple[int, str]]:
    """The status and the body of a POST of each of these to an endpoint with such a parameter."""

    async def view(user):
        found = getattr(user, "value", user)
        return f"PERSON {found}" if isinstance(found, User | AccessToken | Identity | Envelope) else "nobody"

    view.__annotations__ = {"user": annotation}
    view.__defaults__ = default or None

    async def story() -> list[tuple[int, str]]:
        app = Application(router=Router())
        app.router.add_post("/", view)
        await app.start()
        client = BlackSheepClient(app)
        answers = [await client.post("/", content=content) for content in contents]
        return [(answer.status, await answer.text()) for answer in answers]

    return asyncio.run(story())


@pytest.mark.parametrize("annotation", [*IN_A_BODY, FromJSON[User]])
def test_sm_01_blacksheep_reads_nobody_from_a_body(annotation):
    """SM-01"""
    answers = blacksheep(annotation, [JSONContent(given) for given in BODIES])
    for given, (status, text) in zip(BODIES, answers, strict=True):
        assert "PERSON" not in text, given
        assert status in (200, 400), given  # it hands on what it cannot read, as it came


def test_sm_01_blacksheep_reads_nobody_from_a_form_or_where_one_may_be_missing():
    """SM-01"""
    ((form, _),) = blacksheep(FromForm[User], [FormContent(FORGED)])
    ((missing, _),) = blacksheep(Optional[User], [JSONContent(FORGED)], None)  # noqa: UP045  as people write it
    assert (form, missing) == (400, 400)
