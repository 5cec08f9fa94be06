"""What an authorization server demands, by its metadata, that this client does not speak: refused by name.

Without this a login would fail later, with an error code that says nothing about the reason.
"""

from typing import cast

from ...base.strict_json import JSONObject

_SECRETS = ("client_secret_basic", "client_secret_post")
_DEMANDS = {
    "require_pushed_authorization_requests": "the server demands pushed authorization requests (PAR, RFC 9126), which "
    "are not supported: switch require_pushed_authorization_requests off at the server or for the client",
    "require_signed_request_object": "the server demands signed request objects (JAR, RFC 9101), which are not "
    "supported: switch require_signed_request_object off at the server or for the client",
}


def demand_of(document: JSONObject, *, client_auth: str) -> str | None:
    """Return why nobody can log in at a server with this discovery document, and which setting helps; or None.

    `client_auth` is how this client authenticates.
    """
    for name, cause in _DEMANDS.items():
        if document.get(name) is True:
            return cause
    modes = _names(document, "response_modes_supported")
    if modes is not None and "query" not in modes:
        return (
            "the server's response_modes_supported has no query, and form_post and the others are not supported: allow "
            "the response mode query for the client"
        )
    types = _names(document, "response_types_supported")
    if types is not None and "code" not in types:
        return "the server's response_types_supported has no code: allow the response type code for the client"
    return _client_auth(_names(document, "token_endpoint_auth_methods_supported"), client_auth)


def _client_auth(methods: list[object] | None, client_auth: str) -> str | None:
    if methods is None or client_auth in methods:
        return None
    where = "the server's token_endpoint_auth_methods_supported has"
    if other := next((name for name in _SECRETS if name in methods), None):
        return f"{where} no {client_auth}: set XWMS_CLIENT_AUTH={other}, and the same for the client at the server"
    return (
        f"{where} neither client_secret_basic nor client_secret_post, and private_key_jwt and the others are not "
        "supported: allow one of the two for the client at the server"
    )


def _names(document: JSONObject, name: str) -> list[object] | None:
    value: object = document.get(name)
    # An empty list is what some servers send for a member that they do not use.
    return cast("list[object]", value) if isinstance(value, list) and value else None
