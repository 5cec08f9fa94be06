"""OpenID Connect RP-Initiated Logout: the login of the app's ID token ends, with all its tokens.

The sandbox has no sessions of its own, so none ends and nobody has to confirm it: the ID token, which only the app and
its user have, identifies the login.

Open redirect: the browser is sent only to an origin of which the app has registered a redirect URI.
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

_LOGGED_AS: Final = LOGOUT.removeprefix("/")


def log_out(provider: Provider) -> Response:
    """End the login of the ID token, send the logout token, and redirect to the requested URL if it is allowed."""
    parameters = request.form if request.method == "POST" else request.args
    problem = once(parameters)
    with provider.database.work() as session:
        server = provider.server(session)
        response = _refused(server, problem) if problem else _end(provider, server, parameters)
        note(server, endpoint=_LOGGED_AS, status=response.status_code, reason=server.reason)
    return response


def _end(provider: Provider, server: Server, parameters: Mapping[str, str]) -> Response:
    hint = parameters.get("id_token_hint", "")
    if not hint and "client_id" in parameters:
        # An app that does not keep the ID token, or does not put it into a URL. No session ends here.
        client = server.client = clients.find(server.session, parameters["client_id"])
        if client is None:
            return _refused(server, "The client_id is not known.")
        return _leave(server, client, parameters, live=False)
    if not hint:
        return _refused(server, "The login to end is missing: there is neither an id_token_hint nor a client_id.")
    claims = signing.read(server.session, hint, kind="JWT", now=server.now)
    if claims is None or claims.get("iss") != provider.issuer:
        return _refused(server, "The id_token_hint is not an ID token of this provider.")
    client = server.client = clients.find(server.session, str(claims.get("aud", "")))
    if client is None:
        return _refused(server, "The app of the ID token was deleted, and its logins with it.")
    if parameters.get("client_id", client.client_id) != client.client_id:
        return _refused(server, "The client_id is not the one of the ID token.")
    grant = grants.find_grant(server.session, str(claims.get("sid", "")), client)
    if grant is not None:
        server.domain = grant.domain
        if grant.ended_at is None:
            grants.end(grant, now=server.now)
            provider.deliveries.announce(server.session, [grant])
    return _leave(server, client, parameters, live=grant is not None and grant.domain.live)


def _leave(server: Server, client: Client, parameters: Mapping[str, str], *, live: bool) -> Response:
    target = parameters.get("post_logout_redirect_uri")
    if target is None:
        return page("message.html", title="You are signed out", message=f"Your login at {client.name} has ended.")
    if not _is_allowed(client, target, live=live):
        return _refused(server, "You are signed out, but the app's post_logout_redirect_uri is not allowed.")
    return see_other(with_query(target, {"state": parameters["state"]}) if "state" in parameters else target)


def _is_allowed(client: Client, target: str, *, live: bool) -> bool:
    """Whether it is on the origin of an active redirect URI; for a live domain only with https."""
    try:
        scheme = parse_http_url(target).scheme
    except ValueError:
        return False
    registered = {origin_of(known.uri) for known in client.redirect_uris if known.active}
    return origin_of(target) in registered and (scheme == "https" or not live)


def _refused(server: Server, reason: str) -> Response:
    server.reason = reason
    return page("message.html", status=400, title="Signing out", message=reason)
