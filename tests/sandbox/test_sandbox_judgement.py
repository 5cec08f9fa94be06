"""How a secured call is judged: in XWMS's order, and with nothing for those who are not the client.

The order is shown from behind: everything is wrong at first, and one thing after the other is mended.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from tests.sandbox.local_xwms import NOON, REDIRECT, SECRET, LocalXWMS
from xwms_auth.sandbox.domain import client_domains, client_secrets

NO_CLIENT: Final = "Invalid client credentials: the client ID is not known."
WRONG_SECRET: Final = "Invalid client credentials: the client secret is wrong."
NO_DOMAIN: Final = "The domain is not known for this client."
NOT_APPROVED: Final = "The user has not approved this client."
INVALID_TOKEN: Final = "The token is invalid, expired or already used."

SECURED: Final = (
    "sign-token",
    "sign-token-verify",
    "global/countries",
    "get/user/info",
    "get/user/address",
    "user/address",
)

Body = dict[str, object]
Mend = Callable[[LocalXWMS, Body], None]
Table = Sequence[tuple[int, str, Mend]]


def refused(answer, status: int, message: str) -> None:
    assert (answer.status_code, answer.json) == (status, {"status": "error", "message": message, "data": {}})


# --- ways to mend a call or the client --------------------------------------------------------------------------------


def header(name: str, value: str) -> Mend:
    return lambda xwms, _: xwms.headers.update({name: value})


def body_field(name: str, value: object) -> Mend:
    return lambda _, body: body.update({name: value})


def change(part: Callable[[Any], Any], **values: object) -> Mend:
    """Set attributes of the client, or of what `part` takes from it."""

    def mend(xwms: LocalXWMS, _: Body) -> None:
        with xwms.client() as client:
            for name, value in values.items():
                setattr(part(client), name, value)

    return mend


def the_client(client: Any) -> Any:
    return client


def its_secret(client: Any) -> Any:
    return client.secrets[0]


def its_domain(client: Any) -> Any:
    return client.domains[0]


def its_redirect_uri(client: Any) -> Any:
    return client.redirect_uris[0]


def link_secret_to_domain(xwms: LocalXWMS, _: Body) -> None:
    with xwms.client() as client:
        client.secrets[0].domains.append(client.domains[0])


def log_anna_in(*scopes: str) -> Mend:
    def mend(xwms: LocalXWMS, _: Body) -> None:
        xwms.log_in("1001", *scopes)

    return mend


CREDENTIALS: Final[Table] = (
    (401, NO_CLIENT, header("X-Client-Id", "sandbox-client")),
    (403, "The client is disabled.", change(the_client, enabled=True)),
    (403, NO_DOMAIN, header("X-Client-Domain", "localhost")),
    (401, WRONG_SECRET, header("X-Client-Secret", SECRET)),
    (401, "The client secret is not active.", change(its_secret, active=True)),
    (401, "The client secret has expired.", change(its_secret, expires_at=NOON + 1)),
    (403, "The domain is not allowed for this client secret.", link_secret_to_domain),
    (403, "The domain is not active.", change(its_domain, active=True)),
)
SERVER: Final = (
    403,
    "The server IP address is not allowed for this domain.",
    change(its_domain, allowed_ips=["127.0.0.1"]),
)


@pytest.fixture
def spoiled(xwms) -> LocalXWMS:
    """The sandbox with a client of which nothing is as it should be, and a server that sends nothing right."""
    xwms.headers |= {"X-Client-Id": "nobody", "X-Client-Domain": "elsewhere.example", "X-Client-Secret": "wrong"}
    with xwms.client() as client:
        client.enabled = False
        (secret,), (domain,) = client.secrets, client.domains
        secret.active, secret.expires_at = False, NOON
        secret.domains.clear()
        domain.active = domain.allow_login = domain.allow_api = False
        domain.allowed_ips, domain.live = ["192.0.2.1"], True
        client.redirect_uris[0].active = False
    return xwms


def work_through(xwms: LocalXWMS, endpoint: str, body: Body, table: Table) -> None:
    for status, message, mend in table:
        refused(xwms.call(endpoint, body), status, message)
        mend(xwms, body)
    answer = xwms.call(endpoint, body)
    assert (answer.status_code, answer.json["status"]) == (200, "success"), answer.text


# --- the order --------------------------------------------------------------------------------------------------------


def test_a_login_is_judged_from_the_client_to_the_redirect_uri(spoiled):
    table: Table = (
        *CREDENTIALS,
        (403, "The domain is not enabled for login.", change(its_domain, allow_login=True)),
        SERVER,
        (422, "The redirect_url field is required.", body_field("redirect_url", "https://evil.example/")),
        (422, "The redirect URL is not registered for this client.", body_field("redirect_url", REDIRECT)),
        (422, "The redirect URL is not active.", change(its_redirect_uri, active=True)),
        (422, "A live domain needs an https redirect URL.", change(its_domain, live=False)),
    )
    work_through(spoiled, "sign-token", {}, table)


def test_a_call_about_a_person_is_judged_from_the_client_to_the_scope(spoiled):
    def let_people_log_in(xwms: LocalXWMS, body: Body) -> None:
        body["sub"] = "1001"
        change(its_domain, allow_login=True, live=False)(xwms, body)
        change(its_redirect_uri, active=True)(xwms, body)

    table: Table = (
        *CREDENTIALS,
        (403, "The domain is not enabled for API calls.", change(its_domain, allow_api=True)),
        SERVER,
        (422, "The sub field is required.", body_field("sub", "nobody")),
        (403, NOT_APPROVED, let_people_log_in),  # nobody has this sub
        (403, NOT_APPROVED, log_anna_in()),  # she has never logged in
        (
            403,
            "The scope useraddresses is not enabled for this client.",
            lambda xwms, _: xwms.enable_scopes("useraddresses"),
        ),
        (403, "The user has not approved the scope useraddresses.", log_anna_in("useraddresses")),
        (422, "The action field is required.", body_field("action", "list")),
    )
    work_through(spoiled, "user/address", {}, table)


def test_a_token_is_judged_after_the_domain(spoiled):
    table: Table = (
        *CREDENTIALS,
        (403, "The domain is not enabled for login.", change(its_domain, allow_login=True)),
        SERVER,
    )
    body: Body = {"token": "unknown"}
    for status, message, mend in table:
        refused(spoiled.call("sign-token-verify", body), status, message)
        mend(spoiled, body)
    refused(spoiled.call("sign-token-verify", body), 401, INVALID_TOKEN)


@pytest.mark.parametrize("endpoint", SECURED)
def test_every_secured_call_is_judged_and_its_body_read_last(spoiled, endpoint):
    def send() -> Any:
        headers = spoiled.headers | {"Content-Type": "text/plain"}
        return spoiled.http.post(f"/api/{endpoint}", data=b"x" * 70_000, headers=headers)

    for status, message, mend in CREDENTIALS:
        refused(send(), status, message)
        mend(spoiled, {})
    purpose = "login" if endpoint.startswith("sign-token") else "API calls"
    refused(send(), 403, f"The domain is not enabled for {purpose}.")
    change(its_domain, allow_login=True, allow_api=True, allowed_ips=[])(spoiled, {})
    refused(send(), 415, "The Content-Type must be application/json.")


# --- each part --------------------------------------------------------------------------------------------------------


def test_a_secret_that_expires_works_until_then(xwms):
    change(its_secret, expires_at=NOON + 60)(xwms, {})
    xwms.clock.now += 59.9
    assert xwms.call("global/countries", {}).status_code == 200
    xwms.clock.now += 0.1
    refused(xwms.call("global/countries", {}), 401, "The client secret has expired.")


def test_each_secret_is_for_the_domains_it_is_linked_to(xwms):
    with xwms.client() as client:
        shop = client_domains.add_domain(client, "shop.example")
        second = client_secrets.add_secret(client, label_text="Shop", domains=[shop], expires_at=None, now=NOON)
    said = {}
    for name in ("localhost", "shop.example"):
        for value in (SECRET, second):
            answer = xwms.call("global/countries", {}, X_Client_Domain=name, X_Client_Secret=value)
            said[name, value] = answer.json["message"]
    unlinked = "The domain is not allowed for this client secret."
    assert said == {
        ("localhost", SECRET): "The countries.",
        ("localhost", second): unlinked,
        ("shop.example", SECRET): unlinked,
        ("shop.example", second): "The countries.",
    }


def test_a_domain_goes_by_its_name_and_by_its_id(xwms):
    with xwms.client() as client:
        domain_id = client.domains[0].domain_id
    for name in ("localhost", domain_id):
        assert xwms.call("global/countries", {}, X_Client_Domain=name).status_code == 200


def test_switching_login_off_leaves_the_api_and_the_reverse(xwms):
    change(its_domain, allow_login=False)(xwms, {})
    assert xwms.call("global/countries", {}).status_code == 200
    change(its_domain, allow_login=True, allow_api=False)(xwms, {})
    assert xwms.sign_token()["token"]


def test_a_token_is_not_spent_through_another_domain_while_its_own_is_switched_off(xwms):
    with xwms.client() as client:
        shop = client_domains.add_domain(client, "shop.example")
        client.secrets[0].domains.append(shop)
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    change(its_domain, active=False)(xwms, {})
    refused(xwms.verify(token, X_Client_Domain="shop.example"), 401, INVALID_TOKEN)
    change(its_domain, active=True)(xwms, {})
    assert xwms.verify(token).status_code == 200


def test_a_live_domain_takes_the_https_redirect_uri_and_no_other(xwms):
    change(its_domain, live=True)(xwms, {})
    assert xwms.sign_token("https://app.example/callback")["url"]
    answer = xwms.call("sign-token", {"redirect_url": REDIRECT})
    refused(answer, 422, "A live domain needs an https redirect URL.")


def test_a_call_with_wrong_credentials_spends_no_token(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    refused(xwms.verify(token, X_Client_Secret="wrong"), 401, WRONG_SECRET)
    assert xwms.verify(token).status_code == 200


# --- one client and another -------------------------------------------------------------------------------------------


@pytest.fixture
def theirs(make_xwms) -> LocalXWMS:
    """A sandbox seen by somebody else's server, whose client is in order, and has no users."""
    xwms = make_xwms(scopes=("userinfo", "useraddresses"))
    client_id, secret = xwms.another_client()
    xwms.log_in("1001", "userinfo", "useraddresses")
    xwms.headers |= {"X-Client-Id": client_id, "X-Client-Secret": secret, "X-Client-Domain": "other.example"}
    assert xwms.call("global/countries", {}).status_code == 200
    return xwms


def test_another_client_s_domain_and_redirect_uri_are_as_unknown_as_any(theirs):
    with theirs.client() as client:
        domain_id = client.domains[0].domain_id
    for name in ("localhost", domain_id, "nowhere.example"):
        refused(theirs.call("sign-token", {}, X_Client_Domain=name), 403, NO_DOMAIN)
    for uri in (REDIRECT, "https://app.example/callback", "https://nowhere.example/callback"):
        answer = theirs.call("sign-token", {"redirect_url": uri})
        refused(answer, 422, "The redirect URL is not registered for this client.")


def test_another_client_s_secret_is_as_wrong_as_any(theirs):
    own_id, own_secret = theirs.headers["X-Client-Id"], theirs.headers["X-Client-Secret"]
    for client_id, secret, domain in (
        (own_id, SECRET, "other.example"),
        (own_id, "no secret at all", "other.example"),
        ("sandbox-client", own_secret, "localhost"),
        ("sandbox-client", "no secret at all", "localhost"),
    ):
        answer = theirs.call("sign-token", {}, X_Client_Id=client_id, X_Client_Secret=secret, X_Client_Domain=domain)
        refused(answer, 401, WRONG_SECRET)


@pytest.mark.parametrize("endpoint", ["get/user/info", "get/user/address", "user/address"])
def test_another_client_s_users_are_as_unknown_as_nobody(theirs, endpoint):
    for sub in ("1001", 1001, "1003", "nobody", 424242):
        refused(theirs.call(endpoint, {"sub": sub, "action": "list"}), 403, NOT_APPROVED)


def test_another_client_s_token_is_as_unknown_as_any_and_stays_unspent(xwms):
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    client_id, secret = xwms.another_client()
    credentials = {"X_Client_Id": client_id, "X_Client_Secret": secret, "X_Client_Domain": "other.example"}
    for value in (token, "no-token-at-all"):
        refused(xwms.verify(value, **credentials), 401, INVALID_TOKEN)
    assert xwms.verify(token).status_code == 200
    refused(xwms.verify(token, **credentials), 401, INVALID_TOKEN)
