"""An API request with an access token, without a door and without a server: it is played."""

import json
from typing import Any

import pytest

from tests.oauth2.test_flow_by_hand import NAMED, Server, answer
from tests.oauth2.test_refresh_by_hand import NOW, context_of
from xwms_auth import AccessToken
from xwms_auth._core.http.messages import Request
from xwms_auth._core.oauth2.bearer_guard import authenticate
from xwms_auth._core.responses.responses import Refusal

ACTIVE = answer(active=True, sub="17", client_id="another", aud="id", scope="read list")


def asked(server: Server, authorization: str = "Bearer t", *, scopes: Any = ()) -> Any:
    request = Request(method="GET", path="/api/things")
    return server.play(authenticate(server.context, authorization, lambda: request, scopes=scopes, now=NOW))


def code_of(refused: object) -> tuple[int, str]:
    assert isinstance(refused, Refusal)
    assert refused.response.status == refused.error.status
    assert json.loads(refused.response.body)["code"] == refused.error.code
    return refused.response.status, refused.error.code


@pytest.mark.parametrize("scopes", [(), ("read",), ("list", "read")])
def test_a_token_with_all_scopes_that_are_required_opens_the_api(scopes):
    server = Server(context_of(**NAMED), introspect=ACTIVE)
    token = asked(server, scopes=scopes)
    assert isinstance(token, AccessToken)
    assert (token.sub, token.client_id, token.scopes) == ("17", "another", ("read", "list"))


@pytest.mark.parametrize(("scopes", "missing"), [(("write",), 1), (("read", "write", "admin"), 2)])
def test_a_token_without_all_of_them_does_not(scopes, missing):
    refused = asked(Server(context_of(**NAMED), introspect=ACTIVE), scopes=scopes)
    assert code_of(refused) == (403, "insufficient_scope")
    assert refused.error.cause.startswith(f"{missing} of the required scopes")
    assert f'scope="{" ".join(scopes)}"' in dict(refused.response.headers)["WWW-Authenticate"]


def test_without_a_token_the_server_is_asked_nothing():
    server = Server(context_of(**NAMED))
    assert code_of(asked(server, "")) == (401, "token_required")
    assert code_of(asked(server, "Bearer a b")) == (400, "invalid_bearer_request")
    assert server.asked == []


@pytest.mark.parametrize(
    "options",
    [{**NAMED, "client_id": "", "allow_missing_settings": True}, {"flow": "sign-token", "issuer": ""}],
    ids=["settings are missing", "XWMS's own protocol"],
)
def test_where_tokens_cannot_be_checked_none_opens_the_api(options):
    server = Server(context_of(**options), introspect=ACTIVE)
    assert code_of(asked(server)) == (500, "config")
    assert server.asked == []
