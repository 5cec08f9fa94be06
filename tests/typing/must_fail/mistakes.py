"""Mistakes that a type checker must find: one per line marked `# error`, and none elsewhere."""

from datetime import timedelta

import xwms_auth.starlette
from xwms_auth import AccessToken, AsyncXWMSSessions, SessionInfo, User, XWMSConfig, XWMSSessions
from xwms_auth.accounts import Linker
from xwms_auth.fastapi import fresh_user
from xwms_auth.flask import XWMSAuth, current_token, current_user, login_required, token_required, xwms_login_url

XWMSConfig("id", "secret", "https://app.example/cb")  # error: options have names
XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", callback_token="maybe")  # error
XWMSConfig(client_id="id", client_secret="s")  # error: a required option is missing
XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", sesion_secret="x")  # error


def owner_of_anything() -> str:
    return current_user.sub  # error: nobody may be signed in


def change(user: User) -> None:
    user.sub = "somebody else"  # error: a person cannot be changed


CONFIG = XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", recheck=900)
XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", recheck_policy="stop")  # error
XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", session_store=object())  # error
XWMSConfig(client_id="id", client_secret="s", redirect_uris="https://a.example/cb", revocation_store=5)  # error
SESSIONS = XWMSSessions(CONFIG)
SESSIONS.revoke("id", "sub")  # error: whose it must be has a name
SESSIONS.revoke_all()  # error: everybody's is revoke_client()
SESSIONS.list(None)  # error: nobody has no sessions
XWMSAuth().sessions.list(current_user.sub)  # error: nobody may be signed in
login_required(fresh="5 minutes")  # error
login_required(prompt=5)  # error
login_required(max_age=5)  # error: it is fresh
xwms_login_url(next="/", hint="anna")  # error: it is login_hint
login_required(timedelta(minutes=5))  # error: it has a name
xwms_auth.starlette.login_required(fresh="5 minutes")  # error
fresh_user()  # error: how fresh?
SENTENCE = current_user.signed_out.detail  # error: somebody who is here, or was never here, has none


@login_required(fresh=300)
def delete_account(sure: bool) -> str:
    return f"{sure}"


delete_account(sure="yes")  # error: the view's own arguments


async def count(sub: str) -> int:
    return len(AsyncXWMSSessions(CONFIG).list(sub))  # error: not awaited


def change_session(info: SessionInfo) -> None:
    info.device = "My phone"  # error: what was listed cannot be changed


def person_of_any_call() -> str:
    return current_token.sub  # error: a client may act for itself


def widen(token: AccessToken) -> None:
    token.scopes = ("write",)  # error: a token cannot be changed


@token_required(scope=["read"])  # error: it is scopes
def tickets() -> str:
    return ""


class Member:
    name = ""


class NoLinker:
    def sign_in(self, user: User) -> Member:
        return Member()


XWMSAuth(linker=NoLinker())  # error: a linker has more than that


def of_a_member(linker: Linker[Member]) -> str:
    return XWMSAuth(linker=linker).account().sub  # error: an account is the application's own, and no person
