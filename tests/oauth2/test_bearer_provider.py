"""Access tokens of a certified provider, panva's oidc-provider: opaque ones by introspection, JWTs by its keys."""

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from tests.oauth2.apis import APISite
from tests.oauth2.steps import code_of
from tests.oauth2.test_oidc_provider import CLIENT_ID, SECRET, start  # noqa: F401  a fixture
from tests.tools.site import HTTPS_URI

OPAQUE, JWT = "https://api.example/opaque", "https://api.example/jwt"
NO = (401, "invalid_token")


class Client:
    """A client of the provider's, as another program: it gets tokens and hands them to nobody but the API."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider
        self.endpoints = httpx2.get(f"{provider.issuer}/.well-known/openid-configuration").json()

    def post(self, endpoint: str, **form: str) -> httpx2.Response:
        answer = httpx2.post(self.endpoints[endpoint], data={**form, "client_id": CLIENT_ID, "client_secret": SECRET})
        assert answer.status_code == 200, answer.text
        return answer

    def for_person(self, scope: str, resource: str | None = None, **more: str) -> dict[str, str]:
        """The token answer, after a person has logged in and consented."""
        verifier = "v" * 43
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {"client_id": CLIENT_ID, "response_type": "code", "redirect_uri": HTTPS_URI, "scope": scope, **more}
        asked |= {"state": "s", "code_challenge": challenge, "code_challenge_method": "S256"}
        wanted = {} if resource is None else {"resource": resource}
        query = self.provider.consent(f"{self.endpoints['authorization_endpoint']}?{urlencode({**asked, **wanted})}")
        form = {"grant_type": "authorization_code", "code": query["code"], "code_verifier": verifier}
        return self.post("token_endpoint", redirect_uri=HTTPS_URI, **form, **wanted).json()

    def for_itself(self, scope: str, resource: str) -> str:
        form = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
        return self.post("token_endpoint", **form).json()["access_token"]


@pytest.fixture
def provider(start):  # noqa: F811  the fixture
    grants = ["authorization_code", "refresh_token", "client_credentials"]
    return start(grant_types=grants, token_endpoint_auth_method="client_secret_post")


@pytest.fixture
def client(provider):
    return Client(provider)


@pytest.fixture
def make_api(edge, provider):
    return lambda **options: APISite(edge, provider, client_auth="client_secret_post", **options)


def test_a_persons_token_is_introspected(make_api, client):
    api = make_api(audience=OPAQUE)
    token = client.for_person("openid read", OPAQUE)["access_token"]
    told = api.call(token).json()
    assert (told["sub"], told["client_id"], told["scopes"]) == ("ada", CLIENT_ID, ["read"])
    assert told["identity"] == [client.provider.issuer, "ada"]
    assert api.call(token, "/api/read").text == "read ada"
    assert code_of(api.call(token, "/api/write")) == (403, "insufficient_scope")
    assert code_of(api.call(token + "x")) == NO


def test_a_token_of_the_login_itself_counts_where_no_audience_is_set_and_for_no_api_that_has_one(make_api, client):
    token = client.for_person("openid")["access_token"]
    assert make_api().call(token).json()["sub"] == "ada"
    assert code_of(make_api(audience=OPAQUE).call(token)) == NO
    assert code_of(make_api().call(client.for_person("openid read", OPAQUE)["access_token"])) == NO


def test_a_client_that_acts_for_itself_is_nobody(make_api, client):
    told = make_api(audience=OPAQUE).call(client.for_itself("read write", OPAQUE)).json()
    assert (told["sub"], told["identity"], told["client_id"]) == (None, None, CLIENT_ID)
    api = make_api(audience=JWT, token_validation="jwt")
    told = api.call(client.for_itself("read write", JWT)).json()
    assert (told["sub"], told["identity"], told["scopes"]) == (None, None, ["read", "write"])
    assert api.call(client.for_itself("read write", JWT), "/api/write").status_code == 200


def test_a_revoked_token_ends_within_half_a_minute(make_api, client):
    api = make_api(audience=OPAQUE)
    token = client.for_person("openid read", OPAQUE)["access_token"]
    assert api.call(token).status_code == 200
    client.post("revocation_endpoint", token=token)
    assert api.call(token).status_code == 200
    api.clock.advance(30)
    assert code_of(api.call(token)) == NO


def test_a_refresh_token_and_an_id_token_open_nothing(make_api, client):
    tokens = client.for_person("openid offline_access read", OPAQUE, prompt="consent")
    assert {"refresh_token", "id_token", "access_token"} <= set(tokens)
    for api in (make_api(), make_api(audience=OPAQUE), make_api(audience=CLIENT_ID, token_validation="jwt")):
        assert code_of(api.call(tokens["refresh_token"])) == NO
        assert code_of(api.call(tokens["id_token"])) == NO
    # What makes them worthless is not that nothing was asked: the provider itself calls the refresh token active.
    told = client.post("introspection_endpoint", token=tokens["refresh_token"]).json()
    assert (told["active"], "token_type" in told) == (True, False)


def test_a_jwt_is_verified_with_the_providers_keys_and_only_for_its_api(make_api, client):
    api = make_api(audience=JWT, token_validation="jwt")
    token = client.for_person("openid read", JWT)["access_token"]
    assert token.count(".") == 2
    told = api.call(token, "/api/token").json()
    assert (told["sub"], told["client_id"], told["scopes"]) == ("ada", CLIENT_ID, ["read"])
    assert code_of(api.call(token, "/api/write")) == (403, "insufficient_scope")
    api.clock.advance(3599)
    assert api.call(token).status_code == 200
    api.clock.advance(2)
    assert code_of(api.call(token)) == NO
    assert code_of(make_api(audience="https://other.example/jwt", token_validation="jwt").call(token)) == NO
    # Asked about it, this provider says that it knows no such tokens.
    assert code_of(make_api(audience=JWT).call(token)) == NO
