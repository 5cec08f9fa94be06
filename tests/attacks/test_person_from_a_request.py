"""SM-01: a framework makes no person, and nothing else of ours, out of what a request brings."""

import copy
import dataclasses
import json
import pickle
from datetime import timedelta
from typing import Annotated, Optional

import pytest
from fastapi import Body, Depends, FastAPI, Form, Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from starlette.testclient import TestClient

import xwms_auth
from tests.tools.site import FROM_ELSEWHERE, FROM_HERE, LOGIN
from xwms_auth import AccessToken, Address, Anonymous, Country, Identity, SessionInfo, StoredAddress, User, UserInfo
from xwms_auth._core.api.login_calls import ApiInfo, LoginTicket
from xwms_auth._core.base.models import TokenSet
from xwms_auth._core.base.session import Session
from xwms_auth.fastapi import BearerToken, CurrentUser, OptionalUser, XWMSAuthMiddleware, bearer_token, fresh_user

ORIGIN = "https://app.example"
FORGED = {"issuer": "https://xwms.nl", "sub": "admin"}
TOKEN = {**FORGED, "client_id": "c", "scopes": ["admin"], "expires_at": None}
PERSON = User(issuer="https://xwms.nl", sub="1", name="Ada")

MODELS = [
    value
    for value in (getattr(xwms_auth, name) for name in xwms_auth.__all__)
    if isinstance(value, type) and (dataclasses.is_dataclass(value) or hasattr(value, "_fields"))
    if value is not xwms_auth.XWMSConfig
]
UNEXPORTED = [ApiInfo, LoginTicket]


# --- FastAPI ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(fx):
    made = FastAPI()
    made.add_middleware(
        XWMSAuthMiddleware, config=xwms_auth.XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}/xwms/validateToken"))
    )
    return made


def visit(app):
    return TestClient(app, base_url=ORIGIN, follow_redirects=False)


def endpoint(annotation, *default):
    def view(user):
        return {"person": getattr(user, "sub", None), "kind": type(user).__name__}

    view.__annotations__ = {"user": annotation}
    view.__defaults__ = default or None
    return view


def told(client) -> list[tuple[int, object]]:
    """The status and the person of a request that brings the forged person in each way there is."""
    ways = [
        client.post("/", json=FORGED),
        client.post("/", json=TOKEN),
        client.post("/", json={"user": FORGED}),
        client.post("/", json=list(FORGED.values())),
        client.post("/", json=[FORGED]),
        client.post("/", data=FORGED),
        client.post("/", params=FORGED),
        client.get("/", params={**FORGED, "client_id": "c", "user": json.dumps(FORGED)}),
        client.request("GET", "/", json=FORGED),
        client.post("/"),
    ]
    return [(way.status_code, way.json().get("person")) for way in ways]


class Nested(BaseModel):
    user: User

    @property
    def sub(self):
        return self.user.sub


@pytest.mark.parametrize(
    "annotation",
    [
        User, UserInfo, AccessToken, Identity, Nested, list[User], dict[str, User], User | Anonymous,
        Annotated[User, Body()], Annotated[User, Body(embed=True)], Annotated[User, Form()],
    ],
    ids=str,
)  # fmt: skip
def test_sm_01_without_its_dependency_a_parameter_is_refused(app, annotation):
    """SM-01"""
    app.post("/")(endpoint(annotation))
    app.get("/")(endpoint(annotation))
    client = visit(app)
    assert {status for status, _ in told(client)} == {422}
    assert client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize("annotation", [User | None, Optional[UserInfo], Identity | None], ids=str)  # noqa: UP045  as people write it
def test_sm_01_an_optional_one_without_its_dependency_is_nobody_at_best(app, annotation):
    """SM-01"""
    app.api_route("/", methods=["GET", "POST"])(endpoint(annotation, None))
    assert {person for _, person in told(visit(app))} == {None}


INSIDE_ANOTHER_TYPE = [
    CurrentUser | None,
    Optional[CurrentUser],  # noqa: UP045  as people write it
    CurrentUser | Anonymous, list[CurrentUser], OptionalUser | Anonymous,
    Annotated[User, fresh_user(timedelta(minutes=5))] | None,
    BearerToken | None, Annotated[AccessToken, bearer_token(scopes=["read"])] | None,
]  # fmt: skip


def test_sm_01_a_dependency_inside_another_type_fails_when_the_application_starts(app, subtests):
    """SM-01: FastAPI sees no dependency there, and would ask the body for a person."""
    for annotation in INSIDE_ANOTHER_TYPE:
        with subtests.test(annotation=annotation), pytest.raises(TypeError, match="user: OptionalUser"):
            app.post("/")(endpoint(annotation, None))


def test_sm_01_a_model_as_its_own_dependency_fails_when_the_application_starts(app, subtests):
    """SM-01: FastAPI would ask the query for everything that the class can be called with."""
    for model in (User, UserInfo, AccessToken, Identity, SessionInfo, StoredAddress, Country):
        for dependency in (Depends(), Depends(model)):
            with (
                subtests.test(model=model, dependency=dependency),
                pytest.raises(TypeError, match="never read from a request"),
            ):
                app.get("/")(endpoint(model, dependency))


def test_sm_01_only_the_session_says_who_it_is_whatever_else_the_request_says(app, fx):
    """SM-01"""
    app.post("/")(endpoint(CurrentUser))
    app.post("/maybe")(endpoint(OptionalUser))
    client = visit(app)
    assert client.post("/", json=FORGED).status_code == 401
    assert client.post("/maybe", json=FORGED).json()["person"] is None
    location = client.get(LOGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2], sub="17")
    client.get("/xwms/validateToken", params={"token": token}, headers=FROM_ELSEWHERE)
    assert client.post("/", json=FORGED, params=FORGED).json() == {"person": "17", "kind": "User"}
    assert client.post("/maybe", json=FORGED).json() == {"person": "17", "kind": "User"}


def test_a_person_is_written_as_json_however_the_endpoint_gives_it(app, fx):
    @app.get("/typed")
    async def typed(user: CurrentUser) -> User:
        return user

    @app.get("/of-the-request")
    async def of_the_request(request: Request) -> User:
        return request.user

    @app.get("/untyped")
    async def untyped(request: Request):
        return request.user

    @app.get("/inside")
    async def inside(request: Request):
        return {"user": request.user}

    @app.get("/some", response_model=User, response_model_exclude_none=True, response_model_exclude={"issuer"})
    async def some() -> object:
        return UserInfo(issuer="i", sub="17", gender="x")

    client = visit(app)
    location = client.get(LOGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2], sub="17", name="Ada")
    client.get("/xwms/validateToken", params={"token": token}, headers=FROM_ELSEWHERE)
    found = client.get("/typed").json()
    assert (found["sub"], found["name"]) == ("17", "Ada")
    assert set(found) == {field.name for field in dataclasses.fields(User)}
    assert client.get("/of-the-request").json() == client.get("/untyped").json() == found
    assert client.get("/inside").json() == {"user": found}
    assert client.get("/some").json() == {"sub": "17", "email_verified": False}
    document = client.get("/openapi.json").json()
    schema = document["paths"]["/typed"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/User"}
    person = document["components"]["schemas"]["User"]
    assert person["title"] == "User"
    assert person["properties"]["sub"]["type"] == "string"
    assert set(person["properties"]) == set(found)


# --- pydantic --------------------------------------------------------------------------------------------------------


def inputs(model):
    whole = {**TOKEN, "id": "1", "name": "n", "short_name": "NL", "title": "t", "platform": "p", "is_current": True}
    whole |= {"started_at": 1, "seen_at": 1, "device": None, "token": "t", "url": "u", "street": "Markt"}
    names = [field.name for field in dataclasses.fields(model)] if dataclasses.is_dataclass(model) else model._fields
    return [whole, {name: whole.get(name) for name in names}, FORGED, list(FORGED.values()), {}, None, "admin"]


def test_sm_01_pydantic_makes_no_model_of_ours_of_anything(subtests):
    """SM-01: whatever is exported, an `Address` too; not in Python, not from JSON, not by attributes."""
    for model in (*MODELS, *UNEXPORTED):
        reader = TypeAdapter(model)
        for given in inputs(model):
            for read in (
                lambda: reader.validate_python(given),  # noqa: B023  called at once
                lambda: reader.validate_python(given, strict=False, from_attributes=True),  # noqa: B023
                lambda: reader.validate_json(json.dumps(given)),  # noqa: B023
            ):
                with subtests.test(model=model, given=given), pytest.raises(ValidationError):
                    read()
        assert reader.json_schema(mode="validation") == reader.json_schema(mode="serialization"), model


def test_sm_01_there_are_models_to_try():
    assert {User, UserInfo, Anonymous, AccessToken, Identity, SessionInfo, Address, StoredAddress} <= set(MODELS)


def test_sm_01_what_holds_secrets_is_nothing_for_pydantic_at_all(subtests):
    """SM-01"""
    for model in (Session, TokenSet):
        with subtests.test(model=model), pytest.raises(PydanticSchemaGenerationError):
            TypeAdapter(model)


def test_sm_01_a_class_of_the_applications_that_is_a_person_is_none_either():
    """SM-01"""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Member(User):
        number: int

    member = Member(issuer="i", sub="1", number=7)
    with pytest.raises(ValidationError):
        TypeAdapter(Member).validate_python({**FORGED, "number": 7})
    assert TypeAdapter(Member).validate_python(member) is member
    assert TypeAdapter(Member).dump_python(member)["number"] == 7


def test_a_person_is_still_a_person_to_python():
    assert dataclasses.replace(PERSON, name=None) == User(issuer=PERSON.issuer, sub="1")
    assert pickle.loads(pickle.dumps(PERSON)) == copy.deepcopy(PERSON) == PERSON
    assert dataclasses.asdict(PERSON) == PERSON.claims()
    assert repr(PERSON).startswith("User(issuer='https://xwms.nl', sub='1', name='Ada'")
    assert PERSON.identity == ("https://xwms.nl", "1")
    for nobody in ({"issuer": "i", "sub": None}, {"issuer": None, "sub": "1"}):
        with pytest.raises(TypeError, match="must be a string"):
            User(**nobody)
