"""The order in which a secured call is judged: with everything wrong, each thing mended shows the next refusal."""

import pytest
from local_xwms import REDIRECT, SECRET

from xwms_auth.sandbox import clients
from xwms_auth.sandbox.data.schema import ClientScope, Domain

SUB = "1001"


def said(answer) -> tuple[int, str]:
    assert answer.json["status"] == "error"
    assert answer.json["data"] == {}
    return answer.status_code, answer.json["message"]


def break_everything(client) -> None:
    client.enabled = False
    domain, secret = client.domains[0], client.secrets[0]
    secret.active, secret.expires_at, secret.domains = False, 1.0, []
    domain.active = domain.allow_login = domain.allow_api = False
    domain.allowed_ips = ["192.0.2.0/24"]
    domain.live = True
    client.redirect_uris[0].active = False


def test_a_login_is_judged_in_xwms_s_order(xwms):
    wrong = {"X_Client_Id": "nobody", "X_Client_Secret": "wrong", "X_Client_Domain": "elsewhere.example"}
    body = {"redirect_url": "http://localhost:5000/unregistered"}

    def refusal() -> tuple[int, str]:
        return said(xwms.call("sign-token", body, **wrong))

    with xwms.client() as client:
        break_everything(client)
    assert refusal() == (401, "Invalid client credentials: the client ID is not known.")
    del wrong["X_Client_Id"]
    assert refusal() == (403, "The client is disabled.")
    with xwms.client() as client:
        client.enabled = True
    assert refusal() == (403, "The domain is not known for this client.")
    del wrong["X_Client_Domain"]
    assert refusal() == (401, "Invalid client credentials: the client secret is wrong.")
    del wrong["X_Client_Secret"]
    assert refusal() == (401, "The client secret is not active.")
    with xwms.client() as client:
        client.secrets[0].active = True
    assert refusal() == (401, "The client secret has expired.")
    with xwms.client() as client:
        client.secrets[0].expires_at = None
    assert refusal() == (403, "The domain is not allowed for this client secret.")
    with xwms.client() as client:
        client.secrets[0].domains = [client.domains[0]]
    assert refusal() == (403, "The domain is not active.")
    with xwms.client() as client:
        client.domains[0].active = True
    assert refusal() == (403, "The domain may not be used for login.")
    with xwms.client() as client:
        client.domains[0].allow_login = True
    assert refusal() == (403, "The server IP address is not allowed for this domain.")
    with xwms.client() as client:
        client.domains[0].allowed_ips = ["127.0.0.1"]
    assert refusal() == (422, "The redirect URL is not registered for this client.")
    body["redirect_url"] = REDIRECT
    assert refusal() == (422, "The redirect URL is not active.")
    with xwms.client() as client:
        client.redirect_uris[0].active = True
    assert refusal() == (422, "A live domain needs an https redirect URL.")
    with xwms.client() as client:
        client.domains[0].live = False
    assert xwms.call("sign-token", body).status_code == 200


def test_a_call_about_a_person_is_judged_up_to_the_scope(xwms):
    def refusal() -> tuple[int, str]:
        return said(xwms.call("user/address", {"sub": SUB, "action": "list"}))

    with xwms.client() as client:
        client.domains[0].allow_api = False
    assert refusal() == (403, "The domain may not be used for API calls.")
    with xwms.client() as client:
        client.domains[0].allow_api = True
    assert refusal() == (403, "The user has not approved this client.")
    xwms.choose(xwms.sign_token()["token"], person=SUB)
    assert refusal() == (403, "The scope useraddresses is not enabled for this client.")
    with xwms.client() as client:
        client.scopes.append(ClientScope(scope="useraddresses"))
    assert refusal() == (403, "The user has not approved the scope useraddresses.")
    xwms.choose(xwms.sign_token()["token"], person=SUB, scope="useraddresses")
    assert xwms.call("user/address", {"sub": SUB, "action": "list"}).status_code == 200


def test_switching_login_off_leaves_the_api_and_the_reverse(xwms):
    with xwms.client() as client:
        client.domains[0].allow_login = False
    assert xwms.call("global/countries", {}).status_code == 200
    with xwms.client() as client:
        client.domains[0].allow_login, client.domains[0].allow_api = True, False
    assert xwms.call("sign-token", {"redirect_url": REDIRECT}).status_code == 200


def test_a_domain_goes_by_its_name_and_by_its_id(xwms):
    with xwms.client() as client:
        domain_id = client.domains[0].domain_id
    assert xwms.call("sign-token", {"redirect_url": REDIRECT}, X_Client_Domain=domain_id).status_code == 200


def test_nothing_about_a_client_is_learned_with_another_one_s_credentials(xwms):
    other_id, other_secret = xwms.another_client()
    domain = "other.example"
    for headers, expected in (
        ({"X_Client_Id": other_id, "X_Client_Secret": SECRET, "X_Client_Domain": domain}, 401),
        ({"X_Client_Id": other_id, "X_Client_Secret": other_secret, "X_Client_Domain": "localhost"}, 403),
        ({"X_Client_Secret": other_secret}, 401),
        ({"X_Client_Domain": domain}, 403),
    ):
        assert xwms.call("sign-token", {"redirect_url": REDIRECT}, **headers).status_code == expected
    own = {"X_Client_Id": other_id, "X_Client_Secret": other_secret, "X_Client_Domain": domain}
    assert said(xwms.call("sign-token", {"redirect_url": REDIRECT}, **own)) == (
        422,
        "The redirect URL is not registered for this client.",
    )
    xwms.choose(xwms.sign_token()["token"], person=SUB)
    assert xwms.call("get/user/info", {"sub": SUB}).status_code == 200
    assert xwms.call("get/user/info", {"sub": SUB}, **own).status_code == 403


@pytest.mark.parametrize("sub", [SUB, "nobody-at-all"])
def test_a_person_who_is_unknown_looks_like_one_who_has_not_approved(xwms, sub):
    assert said(xwms.call("get/user/info", {"sub": sub})) == (403, "The user has not approved this client.")


def test_each_of_several_secrets_works_for_its_own_domains(xwms):
    with xwms.client() as client:
        staging: Domain = clients.add_domain(client, "staging.example")
        second = clients.add_secret(client, label_text="Second", domains=[staging], expires_at=None, now=xwms.clock.now)
    body = {"redirect_url": REDIRECT}
    right = {"X_Client_Secret": second, "X_Client_Domain": "staging.example"}
    assert xwms.call("sign-token", body, **right).status_code == 200
    assert xwms.call("sign-token", body).status_code == 200
    assert xwms.call("sign-token", body, X_Client_Secret=second).status_code == 403
    assert xwms.call("sign-token", body, X_Client_Domain="staging.example").status_code == 403
