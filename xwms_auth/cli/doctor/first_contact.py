"""What XWMS does where its documentation is silent, seen at a few logins of one person: `--first-contact`.

Each finding is an answer and, where one follows from it, a setting. None has a token or anything about the person.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import click

from xwms_auth import XWMSClient
from xwms_auth._core.api.login_calls import LoginTicket
from xwms_auth._core.base.errors import (
    APIError,
    ConfigError,
    CredentialsRejected,
    RedirectNotRegistered,
    TokenRejected,
)
from xwms_auth._core.base.models import Secret, User
from xwms_auth._core.config.config import XWMSConfig
from xwms_auth._core.http.urls import RedirectURI
from xwms_auth.cli.doctor.callback_listener import Arrival, CallbackListener, Step
from xwms_auth.cli.doctor.findings import Finding, fault, ok, skipped, warning

PATIENCE: Final = 600.0
"""Seconds for a step: as long as a login may take."""

_SUBJECT: Final = "first contact"
_NOWHERE: Final = "https://first-contact.invalid/xwms/validateToken"
"""A redirect URI that nobody can have registered (RFC 6761)."""

_PLAIN: Final = re.compile(r"[A-Za-z_.~\[\]-]{0,24}")

_REPORT: Final = "logins are safe, and the page and the log name the wrong cause: please report these words"


def of_first_contact(config: XWMSConfig) -> Iterator[Finding]:
    """Begin, finish and break off logins at XWMS, with a person who is led through them by pages on this machine."""
    uri = next((one for one in config.registered if one.loopback and not one.secure), None)
    if config.flow != "sign-token":
        yield skipped(_SUBJECT, "it is about the XWMS login; with OAuth 2.0 the standards say what happens")
        return
    if uri is None:
        remedy = (
            "register http://localhost:5000/xwms/validateToken at XWMS too, give this command XWMS_REDIRECT_URI with "
            "it alone, and remove it at XWMS afterwards"
        )
        yield fault(_SUBJECT, "no redirect URI is on this machine, so nothing can come back here", remedy)
        return
    try:
        api = XWMSClient(config)
    except ConfigError as error:  # the secret is from an async callable
        remedy = "give this command the secret as XWMS_CLIENT_SECRET, and no MODULE:APP"
        yield fault(_SUBJECT, "; ".join(error.problems), remedy)
        return
    try:
        listener = CallbackListener(uri)
    except OSError as error:
        text = f"nothing can listen at {uri.origin}: {error.strerror}"
        yield fault(_SUBJECT, text, "stop the application that is there, and run this again")
        return
    with api as client, listener.listening():
        try:
            ticket = client.sign_token(uri.uri)
            yield from _of_ticket(ticket)
            yield from _of_refusals(config, client, uri)
            yield from _Logins(client, uri, listener).seen(ticket)
        except APIError as error:
            yield fault(_SUBJECT, f"XWMS begins no login: {error.code}, {error.cause}", "mend what is above first")
        except TimeoutError:
            yield skipped(_SUBJECT, f"nothing came back within {PATIENCE / 60:.0f} minutes")


# --- what it refuses, and in which words ---


def _of_refusals(config: XWMSConfig, client: XWMSClient, uri: RedirectURI) -> Iterator[Finding]:
    unknown = secrets.token_urlsafe(32)
    yield _refusal("an unknown token", TokenRejected, partial(client.verify_token, unknown, uri.uri))
    what = "a redirect URI that is not registered"
    yield _refusal(what, RedirectNotRegistered, partial(client.sign_token, _NOWHERE))
    for what, changed in (
        ("a wrong secret", {"client_secret": Secret(secrets.token_urlsafe(32))}),
        ("an unknown domain", {"domain": "first-contact.invalid"}),
    ):
        try:
            with XWMSClient(replace(config, **changed)) as other:
                yield _refusal(what, CredentialsRejected, partial(other.sign_token, uri.uri))
        except ConfigError as error:
            yield skipped("refusals", f"{what}: {'; '.join(error.problems)}")


def _refusal(what: str, expected: type[APIError], call: Callable[[], object]) -> Finding:
    try:
        call()
    except expected as error:
        return ok("refusals", f"{what}: {error.code}, {error.cause}")
    except APIError as error:
        return warning("refusals", f"{what} is taken for {error.code}: {error.cause}", _REPORT)
    remedy = "tell XWMS: a login must not begin, and a token must not be good, for whoever asks"
    return fault("refusals", f"XWMS takes {what}", remedy)


# --- what it does with logins ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What XWMS has said to a token: the person, or why not."""

    user: User | None
    why: str

    def __bool__(self) -> bool:
        return self.user is not None


class _Logins:
    """The logins of one person, who is led by the listener's pages."""

    def __init__(self, client: XWMSClient, uri: RedirectURI, listener: CallbackListener) -> None:
        self._client, self._uri, self._listener = client, uri, listener

    def seen(self, ticket: LoginTicket) -> Iterator[Finding]:
        """Three logins: one as it should be, one whose token was tried before the approval, one that is broken off."""
        click.echo(f"Open {self._listener.guide} in a browser on this machine, and do what it says.", err=True)
        yield from self._finished(ticket)
        yield from self._tried_before()
        yield from self._broken_off()

    def _led(self, title: str, text: str, ticket: LoginTicket) -> Arrival | None:
        step = Step(title=title, text=text, sign_in=Secret(ticket.url))
        return self._listener.lead(step, seconds=PATIENCE)

    def _verified(self, token: Secret) -> _Outcome:
        try:
            return _Outcome(user=self._client.verify_token(token.reveal(), self._uri.uri), why="")
        except APIError as error:
            return _Outcome(user=None, why=f"{error.code}, {error.cause}")

    def _finished(self, ticket: LoginTicket) -> Iterator[Finding]:
        arrival = self._led("Step 1 of 3: log in", "Go to XWMS and log in there, as you would on a site.", ticket)
        if arrival is None or arrival.token is None:
            text = f"a login that was finished brought {_told(arrival)}"
            yield fault("callback", text, "did the login succeed at XWMS? Without a token nobody can be logged in")
            return
        if arrival.token_name == "token":
            yield ok("callback", f"a login that was finished brought {_told(arrival)}")
        else:
            remedy = "no setting changes this: please report it"
            yield fault("callback", f"the token comes back as {arrival.token_name}, and `token` is read alone", remedy)
        is_same = arrival.token == Secret(ticket.token)
        kind = "same" if is_same else "fresh"
        text = f"the callback's token is {'the one' if is_same else 'not the one'} of sign-token"
        yield _follows("callback token", text, f"set XWMS_CALLBACK_TOKEN={kind}")
        first = self._verified(arrival.token)
        yield _of_person(first)
        yield _of_second_use(self._verified(arrival.token))
        if not is_same:
            own = self._verified(Secret(ticket.token))
            yield _follows(
                "sign-token's own token",
                "XWMS takes it too, though the callback has another" if own else f"XWMS refuses it: {own.why}",
                "set XWMS_CALLBACK_TOKEN=fresh, with which it is never redeemed" if own else "",
            )

    def _tried_before(self) -> Iterator[Finding]:
        ticket = self._client.sign_token(self._uri.uri)
        early = self._verified(Secret(ticket.token))
        if early:
            remedy = "tell XWMS: whoever begins a login is somebody already, without any approval"
            yield fault("early token", "XWMS takes the token of a login that nobody has approved", remedy)
            return
        yield ok("early token", f"before the person has approved, XWMS refuses it: {early.why}")
        arrival = self._led("Step 2 of 3: log in once more", "Go to XWMS and log in there as before.", ticket)
        if arrival is None or arrival.token is None:
            yield skipped("refused token", f"after a refused try a login brought {_told(arrival)}")
        elif arrival.token != Secret(ticket.token):
            self._verified(arrival.token)
            yield skipped("refused token", "the callback has another token, so that a try of the first says nothing")
        elif later := self._verified(arrival.token):
            remedy = "let all processes share a session store or a revocation store, so that a token has one try in all"
            yield _follows("refused token", "a token lives on after a refused try", remedy)
        else:
            yield ok("refused token", f"a token is dead after a refused try: {later.why}")

    def _broken_off(self) -> Iterator[Finding]:
        ticket = self._client.sign_token(self._uri.uri)
        arrival = self._led("Step 3 of 3: cancel", "Go to XWMS and cancel there, or go back without a login.", ticket)
        if arrival is None:
            yield ok("cancel", "XWMS keeps the browser: the pending login ends by itself after ten minutes")
        elif arrival.token is not None:
            self._verified(arrival.token)  # so that it is used up
            yield skipped("cancel", "this login was finished, not cancelled")
        elif arrival.path == self._uri.path:
            remedy = "nothing to set: people get the page of token_missing; please report these parameters"
            yield _follows("cancel", f"XWMS comes back to {_told(arrival)}", remedy)
        else:
            remedy = "if that page needs a login, set a fallback URI for the domain at XWMS that does not"
            yield _follows("cancel", f"XWMS comes back to {_told(arrival)}", remedy)


def _follows(subject: str, text: str, setting: str) -> Finding:
    """An answer from which a setting follows."""
    return Finding(subject=subject, state="ok", text=text, remedy=setting)


def _told(arrival: Arrival | None) -> str:
    if arrival is None:
        return "nothing back"
    names = ", ".join(map(_plain, arrival.names))
    path = "/".join(map(_plain, arrival.path.split("/")))
    return f"{path} with {f'the parameters {names}' if names else 'no parameters'}"


def _plain(text: str) -> str:
    """A name, or a part of a path, that cannot be a token. Nobody knows where XWMS puts one."""
    return text if _PLAIN.fullmatch(text) else "…"


def _of_ticket(ticket: LoginTicket) -> Iterator[Finding]:
    yield ok("sign-in address", f"it is at {urlsplit(ticket.url).hostname}")
    if ticket.expires_at is None:
        yield ok("lifetime", "XWMS does not say how long a login may take: ten minutes count here")
    else:
        yield ok("lifetime", f"XWMS gives a login {round(ticket.expires_at - time.time())} s; here at most 600 count")


def _of_person(first: _Outcome) -> Finding:
    if first.user is None:
        return fault("person", f"XWMS refuses the callback's token: {first.why}", "read the page First contact")
    known = (field.name for field in fields(first.user) if field.name not in ("issuer", "sub", "email_verified"))
    given = ", ".join(name for name in known if getattr(first.user, name) is not None) or "nothing"
    kind = "digits" if first.user.sub.isdecimal() else "words"
    verified = "verified" if first.user.email_verified else "not verified"
    return ok("person", f"a sub of {kind}, and of the rest: {given}; the e-mail address is {verified}")


def _of_second_use(second: _Outcome) -> Finding:
    if second:
        remedy = "tell XWMS; and let all processes share a session store or a revocation store, which remembers tokens"
        return fault("second use", "XWMS takes a token twice", remedy)
    return ok("second use", f"XWMS refuses a token that was used: {second.why}")
