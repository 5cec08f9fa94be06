"""Logout that an app begins (OpenID Connect RP-Initiated Logout): the login of its ID token ends, with all its tokens.

The sandbox remembers nobody, so there is no session of its own to end, and nobody to ask whether that was meant: the ID
token, which only the app and its person have, says what ends.

Knows: the parameters, and where a browser may go afterwards.
Must not: send a browser to an address of which the app has registered nothing.
"""

from collections.abc import Mapping
from typing import Final

from flask import Response, request

from xwms_auth.sandbox.db.schema import Client
from xwms_auth.sandbox.domain import clients, grants, signing
from xwms_auth.sandbox.domain.urls import origin_of, parse_http_url, with_query
from xwms_auth.sandbox.oauth.metadata import LOGOUT
from xwms_auth.sandbox.oauth.provider import Provider, note
from xwms_auth.sandbox.oauth.server import Server, once
from xwms_auth.sandbox.web.responses import page, see_other

_ENDPOINT: Final = LOGOUT.removeprefix("/")


def log_out(provider: Provider) -> Response:
    """End the login of the ID token, tell the app's server, and go where the app asked, if that is its own."""
    sent = request.form if request.method == "POST" else request.args
    wrong = once(sent)
    with provider.database.work() as session:
        server = provider.server(session)
        answer = _refused(server, wrong) if wrong else _end(provider, server, sent)
        note(server, endpoint=_ENDPOINT, status=answer.status_code, reason=server.reason)
    return answer


def _end(provider: Provider, server: Server, sent: Mapping[str, str]) -> Response:
    hint = sent.get("id_token_hint", "")
    if not hint and "client_id" in sent:
        # An app that keeps no ID token, or keeps it out of addresses. There is no session here that could end.
        client = server.client = clients.find(server.session, sent["client_id"])
        if client is None:
            return _refused(server, "The client_id is of no app that is known here.")
        return _leave(server, client, sent, live=False)
    if not hint:
        return _refused(server, "Nothing says whose login ends: neither an id_token_hint nor a client_id.")
    said = signing.read(server.session, hint, kind="JWT", now=server.now)
    if said is None or said.get("iss") != provider.issuer:
        return _refused(server, "The id_token_hint is not an ID token of this provider.")
    client = server.client = clients.find(server.session, str(said.get("aud", "")))
    if client is None:
        return _refused(server, "The app of the ID token is gone, and its logins with it.")
    if sent.get("client_id", client.client_id) != client.client_id:
        return _refused(server, "The client_id is not the one of the ID token.")
    grant = grants.find_grant(server.session, str(said.get("sid", "")), client)
    if grant is not None:
        server.domain = grant.domain
        if grant.ended_at is None:
            grants.end(grant, now=server.now)
            provider.deliveries.announce(server.session, [grant])
    return _leave(server, client, sent, live=grant is not None and grant.domain.live)


def _leave(server: Server, client: Client, sent: Mapping[str, str], *, live: bool) -> Response:
    target = sent.get("post_logout_redirect_uri")
    if target is None:
        return page("message.html", title="You are signed out", message=f"Your login at {client.name} has ended.")
    if not _is_its_own(client, target, live=live):
        return _refused(server, "You are signed out, but the app may not send anybody to where it asked.")
    return see_other(with_query(target, {"state": sent["state"]}) if "state" in sent else target)


def _is_its_own(client: Client, target: str, *, live: bool) -> bool:
    """Whether it is on the origin of an active redirect URI; where the domain is live, over https only."""
    try:
        scheme = parse_http_url(target).scheme
    except ValueError:
        return False
    registered = {origin_of(known.uri) for known in client.redirect_uris if known.active}
    return origin_of(target) in registered and (scheme == "https" or not live)


def _refused(server: Server, reason: str) -> Response:
    server.reason = reason
    return page("message.html", status=400, title="Signing out", message=reason)
