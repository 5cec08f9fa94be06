"""The authorization endpoint: the request of an app, the sign-in and consent pages, and the redirect to the app.

Open redirect: for an unknown client or an unregistered redirect URI the response is an error page, because otherwise
an attacker who chooses the URI could have people and codes sent there (RFC 6749, section 4.1.2.1). All other errors are
sent to the app, with `state` and `iss` (RFC 9207).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from authlib.oauth2 import OAuth2Error
from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from xwms_auth.sandbox.db.schema import AuthorizationRequest, Client, Domain, Person
from xwms_auth.sandbox.domain import approvals, authorizations, client_domains, clients, directory, grants
from xwms_auth.sandbox.domain.problems import Invalid
from xwms_auth.sandbox.domain.request_checks import Caller, Refused, check_redirect_url, check_switches, enabled
from xwms_auth.sandbox.domain.urls import with_query
from xwms_auth.sandbox.oauth.authlib_models import RESPONSE_TYPES
from xwms_auth.sandbox.oauth.grant_types import invalid
from xwms_auth.sandbox.oauth.metadata import AUTHORIZE, PROMPTS, SIGN_IN
from xwms_auth.sandbox.oauth.provider import Provider, note
from xwms_auth.sandbox.oauth.server import Request, Server, once
from xwms_auth.sandbox.web.consent import START_AGAIN, Asking, ask_consent, ask_who, chosen, refuse_other_sites
from xwms_auth.sandbox.web.responses import Refusal, see_other

_LOGGED_AS: Final = AUTHORIZE.removeprefix("/")
_HINTS: Final = ("login_hint", "ui_locales")
_KEPT_PARAMETERS: Final = ("redirect_uri", "scope", "state", "nonce", "code_challenge", "prompt", *_HINTS)
_MAX_PARAMETER: Final = 2000  # characters


def authorize(provider: Provider) -> Response:
    """Check the request of an app, and redirect to the sign-in page, or to the app with an error."""
    sent = request.form if request.method == "POST" else request.args
    refusal: Refusal | None = None
    response = Response()
    with provider.database.work() as session:
        server = provider.server(session)
        try:
            response = _begin(provider, server, sent)
        except Refusal as error:
            refusal = error
        status = response.status_code if refusal is None else refusal.code or 400
        note(server, endpoint=_LOGGED_AS, status=status, reason=server.reason)
    if refusal is not None:
        raise refusal
    return response


def show(provider: Provider, token: str) -> Response:
    """The sign-in page."""
    with provider.database.work() as session:
        return ask_who(session, _asking(_open(session, token, now=provider.clock())))


def choose(provider: Provider, token: str) -> Response:
    """Handle the form: cancelled, or a person, who may have to consent first."""
    refuse_other_sites()
    form = request.form  # read before the unit of work, in which a slow sender would block all other requests
    with provider.database.work() as session:
        pending = _open(session, token, now=provider.clock())
        server = provider.server(session)
        server.client, server.domain = pending.client, pending.domain
        if form.get("answer") == "no":
            parameters = authorizations.answer(pending, now=server.now)
            denied = OAuth2Error("The person denied the request.", error="access_denied")
            response = _redirect_with_error(server, parameters, denied)
            note(server, endpoint=_LOGGED_AS, status=response.status_code, reason=server.reason)
            return response
        before = session.begin_nested()
        try:
            person = chosen(session, form)
        except Invalid as error:
            return ask_who(session, _asking(pending), problems=error.problems, typed=form)
        if to_ask := _to_ask(session, pending, person, approved=form.getlist("scope")):
            page = ask_consent(_asking(pending), person, _described(to_ask), form)
            before.rollback()  # cancelling now must not have changed a person
            return page
        return _allow(server, pending, person)


def _begin(provider: Provider, server: Server, sent: "MultiDict[str, str]") -> Response:
    client = server.client = clients.find(server.session, sent.get("client_id", ""))
    if client is None or len(sent.getlist("client_id")) > 1:
        server.reason = "The client ID is not known, or was sent twice."
        raise Refusal(400, "This app is not known here.")
    domain = server.domain = _check_redirect_uri(server, client, sent.getlist("redirect_uri"))
    parameters = {name: sent[name] for name in _KEPT_PARAMETERS if name in sent}
    try:
        _check(provider, server, Caller(client=client, domain=domain), sent)
    except OAuth2Error as error:
        return _redirect_with_error(server, parameters, error)
    token = authorizations.begin(server.session, client, domain, parameters, now=server.now)
    # HEAD must not sign anybody in, since link checkers send it.
    if provider.auto_login is not None and request.method != "HEAD":
        person = directory.find_or_add(server.session, provider.auto_login)
        return _allow(server, _open(server.session, token, now=server.now), person)
    return see_other(f"{provider.public_url}{SIGN_IN}/{token}")


def _check_redirect_uri(server: Server, client: Client, sent: Sequence[str]) -> Domain:
    """The domain of the login, if the redirect URI may be used. Raises `Refusal`."""
    if len(sent) != 1:
        server.reason = "The redirect_uri must be sent exactly once."
        raise Refusal(400, "The app did not send a redirect_uri, or sent it twice.")
    known = any(registered.uri == sent[0] for registered in client.redirect_uris)
    domain = client_domains.domain_for(client, sent[0]) if known else client.domains[0]
    try:
        check_redirect_url(Caller(client=client, domain=domain), sent[0])
    except Refused as refused:
        server.reason = refused.reason
        raise Refusal(400, f"{refused.message} Nobody is sent there; the client's API log has details.") from None
    return domain


def _check(provider: Provider, server: Server, caller: Caller, sent: "MultiDict[str, str]") -> None:
    """Raise `OAuth2Error` for the first error that may be sent to the app."""
    try:
        enabled(caller.client)
        check_switches(caller.domain, purpose="login")
    except Refused as refused:
        raise server.refusal(refused) from None
    if problem := once(sent):
        raise invalid(problem)
    if any(len(value) > _MAX_PARAMETER for value in sent.values()):
        raise invalid("A parameter is too long.")
    if sent.get("response_type") not in RESPONSE_TYPES:
        if "response_type" not in sent:
            raise invalid("The response_type is missing.")
        raise invalid("The only response_type is code.", "unsupported_response_type")
    if "request" in sent:
        raise invalid("Request objects are not supported.", "request_not_supported")
    if "request_uri" in sent:
        raise invalid("Request objects are not supported.", "request_uri_not_supported")
    if sent.get("response_mode", "query") != "query":
        raise invalid("The only response_mode is query.")
    _check_scope(caller.client, sent.get("scope", "").split())
    server.caller = caller
    server.check_authorization_request(Request(request.method, sent, request.headers))
    _check_prompt(provider, sent)


def _check_scope(client: Client, wanted: Sequence[str]) -> None:
    if not wanted:
        raise invalid("The scope is missing.", "invalid_scope")
    for scope in wanted:
        if scope in approvals.SCOPES and scope not in approvals.scopes_of(client):
            raise invalid(f"The scope {scope} is not enabled for this client.", "invalid_scope")
        if scope not in approvals.SCOPES and scope not in approvals.OPENID_SCOPES:
            raise invalid("A scope is not known.", "invalid_scope")


def _check_prompt(provider: Provider, sent: Mapping[str, str]) -> None:
    """OpenID Connect Core, section 3.1.2.1. Every login here asks the person, which satisfies any `max_age`."""
    prompts = sent.get("prompt", "").split()
    if not set(prompts) <= set(PROMPTS):
        raise invalid("A prompt is not known.")
    if "none" in prompts and len(prompts) > 1:
        raise invalid("The prompt none cannot be combined with another.")
    max_age = sent.get("max_age", "0")
    if not (max_age.isascii() and max_age.isdigit()):
        raise invalid("The max_age is not a number of seconds.")
    if "none" in prompts and provider.auto_login is None:
        raise invalid("The sandbox has no sessions: each login asks the person.", "login_required")


def _open(session: Session, token: str, *, now: float) -> AuthorizationRequest:
    """The pending request with this token. Raises `Refusal`."""
    pending = authorizations.find(session, token)
    if pending is None:
        raise Refusal(404, f"No sign-in is known at this address. {START_AGAIN}")
    if pending.answered_at is not None:
        raise Refusal(410, f"This sign-in was answered, and a sign-in page works once. {START_AGAIN}")
    if pending.expires_at <= now:
        raise Refusal(410, f"This sign-in page was open for too long. {START_AGAIN}")
    try:
        enabled(pending.client)
        check_switches(pending.domain, purpose="login")
        check_redirect_url(Caller(client=pending.client, domain=pending.domain), pending.parameters["redirect_uri"])
    except Refused:
        raise Refusal(403, "This app may no longer sign people in.") from None
    return pending


def _asking(pending: AuthorizationRequest) -> Asking:
    parameters = pending.parameters
    return Asking(
        client=pending.client,
        domain=pending.domain,
        redirect_url=parameters["redirect_uri"],
        cancel_url=None,
        login_hint=parameters.get("login_hint", ""),
        ui_locales=parameters.get("ui_locales", ""),
    )


def _to_ask(
    session: Session, pending: AuthorizationRequest, person: Person, *, approved: Sequence[str]
) -> Sequence[str]:
    """Every scope of the request, unless the person has approved all of them, now or before."""
    requested = _scopes(pending)
    always = "consent" in pending.parameters.get("prompt", "").split()
    missing = requested if always else approvals.to_ask(session, pending.client, person, wanted=requested)
    # Only scopes that were on the page have been approved.
    return () if set(missing) <= set(approved) else requested


def _described(scopes: Sequence[str]) -> Mapping[str, str]:
    descriptions = approvals.OPENID_SCOPES | approvals.SCOPES
    return {scope: descriptions[scope] for scope in descriptions if scope in scopes}


def _scopes(pending: AuthorizationRequest) -> list[str]:
    return list(dict.fromkeys(pending.parameters["scope"].split()))


def _allow(server: Server, pending: AuthorizationRequest, person: Person) -> Response:
    """Redirect to the app with a code."""
    client, scopes = pending.client, _scopes(pending)
    parameters = authorizations.answer(pending, now=server.now)
    approvals.approve(server.session, client, person, now=server.now, scopes=scopes)
    code = grants.give(
        server.session, client, pending.domain, person, parameters=parameters, scope=" ".join(scopes), now=server.now
    )
    return _redirect(server, parameters, {"code": code})


def _redirect_with_error(server: Server, parameters: Mapping[str, str], error: OAuth2Error) -> Response:
    """Redirect to the app with an error."""
    description = str(error.get_error_description() or error.error)
    server.reason = server.reason or f"{error.error}: {description}"
    return _redirect(server, parameters, {"error": str(error.error), "error_description": description})


def _redirect(server: Server, parameters: Mapping[str, str], result: Mapping[str, str]) -> Response:
    """Redirect to the registered URL, unchanged except for the result; Authlib would re-encode its query."""
    state = {"state": parameters["state"]} if "state" in parameters else {}
    return see_other(with_query(parameters["redirect_uri"], {**result, **state, "iss": server.issuer}))
