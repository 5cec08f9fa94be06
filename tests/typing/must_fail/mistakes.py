"""Mistakes that a type checker must find: one per line marked `# error`, and none elsewhere."""

from xwms_auth import AccessToken, User, XWMSConfig
from xwms_auth.flask import current_token, current_user, token_required

XWMSConfig("id", "secret", "https://app.example/cb")  # error: options have names
XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", callback_token="maybe")  # error
XWMSConfig(client_id="id", client_secret="s")  # error: a required option is missing
XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", sesion_secret="x")  # error


def owner_of_anything() -> str:
    return current_user.sub  # error: nobody may be signed in


def change(user: User) -> None:
    user.sub = "somebody else"  # error: a person cannot be changed


def person_of_any_call() -> str:
    return current_token.sub  # error: a client may act for itself


def widen(token: AccessToken) -> None:
    token.scopes = ("write",)  # error: a token cannot be changed


@token_required(scope=["read"])  # error: it is scopes
def tickets() -> str:
    return ""
