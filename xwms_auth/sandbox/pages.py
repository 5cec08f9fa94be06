"""The pages of a local XWMS: the sign-in page, where a developer chooses who to be, and the front page.

Shows and approves sign-ins; issues no sign-in itself, and shows nothing secret.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from flask import Blueprint, Response, request

from xwms_auth.sandbox.addresses import csp_source, origin_of, with_token
from xwms_auth.sandbox.answers import API_PREFIX, Refusal, page, see_other
from xwms_auth.sandbox.people import PEOPLE, Person, find_person, parse_somebody_else
from xwms_auth.sandbox.store import Client, MemoryStore, SignIn

_START_AGAIN: Final = "Go back to the app and start again there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The pages. `auto_login` is who everybody is at once, without a click; None asks."""

    store: MemoryStore
    clock: Callable[[], float]
    public_url: str
    callback_token: Literal["same", "fresh"]
    auto_login: Person | None

    def blueprint(self) -> Blueprint:
        """The routes outside /api/."""
        pages = Blueprint("pages", __name__)
        pages.add_url_rule("/", view_func=self.home, methods=["GET"])
        pages.add_url_rule("/sign-in/<token>", view_func=self.sign_in, methods=["GET"])
        pages.add_url_rule("/sign-in/<token>", view_func=self.choose, methods=["POST"])
        return pages

    def home(self) -> Response:
        """What this server is, and which clients it knows."""
        return page("home.html", api_url=f"{self.public_url}{API_PREFIX}/", clients=self.store.clients())

    def sign_in(self, token: str) -> Response:
        """Ask who is signing in."""
        client, sign_in = self._open(token)
        # HEAD only looks: link checkers must not sign anybody in.
        if self.auto_login is not None and request.method == "GET":
            return self._approve(token, sign_in, self.auto_login)
        return _ask(client, sign_in)

    def choose(self, token: str) -> Response:
        """Sign in as the chosen or typed person.

        The token in the path is unguessable, so another site cannot aim a form at this page; Fetch Metadata
        refuses one that learned it. `same-site` is foreign too: every port of localhost is the same site.
        """
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise Refusal(403, "This form can be sent from the sign-in page only.")
        client, sign_in = self._open(token)
        try:
            person = _chosen(request.form)
        except ValueError as fault:
            return _ask(client, sign_in, fault=str(fault), typed=request.form)
        return self._approve(token, sign_in, person)

    def _open(self, token: str) -> tuple[Client, SignIn]:
        sign_in = self.store.sign_in(token)
        client = self.store.client(sign_in.client_id) if sign_in else None
        if sign_in is None or client is None:
            raise Refusal(404, f"No sign-in is known at this address. {_START_AGAIN}")
        if sign_in.approved:
            raise Refusal(410, f"Somebody has already signed in here, and a sign-in page works once. {_START_AGAIN}")
        if sign_in.expires_at <= self.clock():
            raise Refusal(410, f"This sign-in page was open for too long. {_START_AGAIN}")
        if not client.enabled or sign_in.redirect_url not in client.redirect_uris:
            raise Refusal(403, "The app that asks may not sign people in any more.")
        return client, sign_in

    def _approve(self, token: str, sign_in: SignIn, person: Person) -> Response:
        callback_token = token if self.callback_token == "same" else secrets.token_urlsafe(32)
        if not self.store.approve(token, person, callback_token=callback_token, now=self.clock()):
            raise Refusal(410, f"Somebody was quicker, or time ran out. {_START_AGAIN}")
        return see_other(with_token(sign_in.redirect_url, callback_token))


def _chosen(form: Mapping[str, str]) -> Person:
    sub = form.get("person")
    if sub is None:
        return parse_somebody_else(form)
    person = find_person(sub)
    if person is None:
        raise ValueError("That person is not on the list.")
    return person


def _ask(client: Client, sign_in: SignIn, *, fault: str = "", typed: Mapping[str, str] | None = None) -> Response:
    return page(
        "sign_in.html",
        status=422 if fault else 200,
        form_target=csp_source(sign_in.redirect_url),
        domain=client.domain,
        people=PEOPLE,
        cancel_url=f"{origin_of(sign_in.redirect_url)}/",
        fault=fault,
        typed=typed or {},
    )
