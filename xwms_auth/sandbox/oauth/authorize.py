"""The authorization endpoint: what an app asks for, who answers, and the way back to the app.

An app that is not known, or an address that is not registered, gets a page and nobody is sent anywhere: whoever could
choose the address could have people and codes sent to himself (RFC 6749, section 4.1.2.1). Everything else that is
wrong is told to the app, with `state` and with `iss` (RFC 9207).

Knows: the parameters of a request, and how it goes on: who, consent, back.
Must not: judge a client by itself, or know what a code is worth.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from authlib.oauth2 import OAuth2Error
from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from xwms_auth.sandbox.db.schema import AuthorizationRequest, Client, Domain, Person
from xwms_auth.sandbox.domain import approvals, authorizations, clients, directory, domains, grants
from xwms_auth.sandbox.domain.request_checks import Caller, Refused, check_redirect_url, check_switches, enabled
from xwms_auth.sandbox.domain.urls import with_query
from xwms_auth.sandbox.oauth.grant_types import invalid
from xwms_auth.sandbox.oauth.metadata import AUTHORIZE, PROMPTS, SIGN_IN
from xwms_auth.sandbox.oauth.parties import RESPONSE_TYPES
from xwms_auth.sandbox.oauth.provider import Provider, note
from xwms_auth.sandbox.oauth.server import Request, Server, once
from xwms_auth.sandbox.web.asking import START_AGAIN, Asking, ask_consent, ask_who, chosen, refuse_other_sites
from xwms_auth.sandbox.web.responses import Refusal, see_other

_ENDPOINT: Final = AUTHORIZE.removeprefix("/")
_KEPT: Final = ("redirect_uri", "scope", "state", "nonce", "code_challenge", "prompt")
_LONGEST: Final = 2000  # characters of a parameter


def authorize(provider: Provider) -> Response:
    """Judge what an app asks for, and go on to the sign-in page, or back to the app with an error."""
    sent = request.form if request.method == "POST" else request.args
    refusal: Refusal | None = None
    answer = Response()
    with provider.database.work() as session:
        server = provider.server(session)
        try:
            answer = _begin(provider, server, sent)
        except Refusal as fault:
            refusal = fault
        status = answer.status_code if refusal is None else refusal.code or 400
        note(server, endpoint=_ENDPOINT, status=status, reason=server.reason)
    if refusal is not None:
        raise refusal
    return answer


def show(provider: Provider, token: str) -> Response:
    """Ask who is signing in."""
    with provider.database.work() as session:
        return ask_who(session, _asking(_open(session, token, now=provider.clock())))


def choose(provider: Provider, token: str) -> Response:
    """Take the answer: no, or who it is, who may then have to agree to what is asked for."""
    refuse_other_sites()
    form = request.form  # read before the unit of work: a slow sender would keep everybody else waiting
    with provider.database.work() as session:
        asked = _open(session, token, now=provider.clock())
        server = provider.server(session)
        server.client, server.domain = asked.client, asked.domain
        if form.get("answer") == "no":
            parameters = authorizations.answer(asked, now=server.now)
            sent = _with_error(server, parameters, OAuth2Error("The person said no.", error="access_denied"))
            note(server, endpoint=_ENDPOINT, status=sent.status_code, reason=server.reason)
            return sent
        before = session.begin_nested()
        try:
            person = chosen(session, form)
        except ValueError as fault:
            return ask_who(session, _asking(asked), fault=str(fault), typed=form)
        if to_ask := _to_ask(session, asked, person, agreed=form.getlist("scope")):
            page = ask_consent(_asking(asked), person, _in_words(to_ask), form)
            before.rollback()  # whoever cancels now has changed nobody's name
            return page
        return _allow(server, asked, person)


def _begin(provider: Provider, server: Server, sent: "MultiDict[str, str]") -> Response:
    client = server.client = clients.find(server.session, sent.get("client_id", ""))
    if client is None or len(sent.getlist("client_id")) > 1:
        server.reason = "The client ID is not known, or was sent twice."
        raise Refusal(400, "The app that asks is not known here.")
    domain = server.domain = _check_redirect_uri(server, client, sent.getlist("redirect_uri"))
    parameters = {name: sent[name] for name in _KEPT if name in sent}
    try:
        _check(provider, server, Caller(client=client, domain=domain), sent)
    except OAuth2Error as error:
        return _with_error(server, parameters, error)
    token = authorizations.begin(server.session, client, domain, parameters, now=server.now)
    # HEAD only looks: link checkers must not sign anybody in.
    if provider.auto_login is not None and request.method != "HEAD":
        person = directory.find_or_add(server.session, provider.auto_login)
        return _allow(server, _open(server.session, token, now=server.now), person)
    return see_other(f"{provider.issuer}{SIGN_IN}/{token}")


def _check_redirect_uri(server: Server, client: Client, sent: Sequence[str]) -> Domain:
    """The domain that the login counts for, if it may end there. Raises `Refusal`."""
    if len(sent) != 1:
        server.reason = "The redirect_uri has to be there once."
        raise Refusal(400, "The app did not say where this sign-in ends, or said it twice.")
    known = any(registered.uri == sent[0] for registered in client.redirect_uris)
    domain = domains.domain_for(client, sent[0]) if known else client.domains[0]
    try:
        check_redirect_url(Caller(client=client, domain=domain), sent[0])
    except Refused as fault:
        server.reason = fault.reason
        raise Refusal(400, f"{fault.message} So nobody is sent there; the client's API log says more.") from None
    return domain


def _check(provider: Provider, server: Server, caller: Caller, sent: "MultiDict[str, str]") -> None:
    """Raise `OAuth2Error` for anything that the app can be told. The first fault is the answer."""
    try:
        enabled(caller.client)
        check_switches(caller.domain, purpose="login")
    except Refused as fault:
        raise server.refusal(fault) from None
    if wrong := once(sent):
        raise invalid(wrong)
    if any(len(value) > _LONGEST for value in sent.values()):
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
    asked = Request(request.method, sent, request.headers)
    server.caller = caller
    server.judge_request(asked)
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
    """OpenID Connect Core, section 3.1.2.1. Everybody logs in anew here, which is as fresh as any `max_age` wants."""
    prompts = sent.get("prompt", "").split()
    if not set(prompts) <= set(PROMPTS):
        raise invalid("A prompt is not known.")
    if "none" in prompts and len(prompts) > 1:
        raise invalid("The prompt none goes with no other.")
    max_age = sent.get("max_age", "0")
    if not (max_age.isascii() and max_age.isdigit()):
        raise invalid("The max_age is not a number of seconds.")
    if "none" in prompts and provider.auto_login is None:
        raise invalid("The sandbox remembers nobody: each login asks who it is.", "login_required")


def _open(session: Session, token: str, *, now: float) -> AuthorizationRequest:
    """The request that waits under this token. Raises `Refusal`."""
    asked = authorizations.find(session, token)
    if asked is None:
        raise Refusal(404, f"No sign-in is known at this address. {START_AGAIN}")
    if asked.answered_at is not None:
        raise Refusal(410, f"This sign-in was answered, and a sign-in page works once. {START_AGAIN}")
    if asked.expires_at <= now:
        raise Refusal(410, f"This sign-in page was open for too long. {START_AGAIN}")
    try:
        enabled(asked.client)
        check_switches(asked.domain, purpose="login")
        check_redirect_url(Caller(client=asked.client, domain=asked.domain), asked.parameters["redirect_uri"])
    except Refused:
        raise Refusal(403, "The app that asks may not sign people in any more.") from None
    return asked


def _asking(asked: AuthorizationRequest) -> Asking:
    return Asking(
        client=asked.client, domain=asked.domain, redirect_url=asked.parameters["redirect_uri"], cancel_url=None
    )


def _to_ask(session: Session, asked: AuthorizationRequest, person: Person, *, agreed: Sequence[str]) -> Sequence[str]:
    """Every scope of the request, unless the person has agreed to all of them, now or before."""
    wanted = _scopes(asked)
    always = "consent" in asked.parameters.get("prompt", "").split()
    missing = wanted if always else approvals.to_ask(session, asked.client, person, wanted=wanted)
    # What was on the page was agreed to, and nothing else.
    return () if set(missing) <= set(agreed) else wanted


def _in_words(scopes: Sequence[str]) -> Mapping[str, str]:
    words = approvals.OPENID_SCOPES | approvals.SCOPES
    return {scope: words[scope] for scope in words if scope in scopes}


def _scopes(asked: AuthorizationRequest) -> list[str]:
    return list(dict.fromkeys(asked.parameters["scope"].split()))


def _allow(server: Server, asked: AuthorizationRequest, person: Person) -> Response:
    """Back to the app, with a code."""
    client, scopes = asked.client, _scopes(asked)
    parameters = authorizations.answer(asked, now=server.now)
    approvals.approve(server.session, client, person, now=server.now, scopes=scopes)
    code = grants.give(
        server.session, client, asked.domain, person, parameters=parameters, scope=" ".join(scopes), now=server.now
    )
    return _back(server, parameters, {"code": code})


def _with_error(server: Server, parameters: Mapping[str, str], error: OAuth2Error) -> Response:
    """Back to the app, with an error."""
    description = str(error.get_error_description() or error.error)
    server.reason = server.reason or f"{error.error}: {description}"
    return _back(server, parameters, {"error": str(error.error), "error_description": description})


def _back(server: Server, parameters: Mapping[str, str], said: Mapping[str, str]) -> Response:
    """The registered address byte for byte, with the answer added; Authlib would write its query anew."""
    state = {"state": parameters["state"]} if "state" in parameters else {}
    return see_other(with_query(parameters["redirect_uri"], {**said, **state, "iss": server.issuer}))
