"""The pages: the sign-in page, where a developer chooses a person, the consent page, and the home page."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from flask import Blueprint, Response, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.db.schema import Client, Person, SignIn
from xwms_auth.sandbox.domain import approvals, directory, sign_ins
from xwms_auth.sandbox.domain.problems import Invalid
from xwms_auth.sandbox.domain.urls import API_PREFIX, origin_of, with_query
from xwms_auth.sandbox.web.consent import START_AGAIN, Asking, ask_consent, ask_who, chosen, refuse_other_sites
from xwms_auth.sandbox.web.responses import Refusal, page, see_other

_ALWAYS: Final = "Name, e-mail address and picture"
_MAX_CLIENTS: Final = 20  # on the home page


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The pages. `auto_login` is the sub of the person to sign in without a click; None shows the sign-in page."""

    database: Database
    clock: Callable[[], float]
    public_url: str
    issuer: str
    callback_token: Literal["same", "fresh"]
    auto_login: str | None
    remembers: bool

    def blueprint(self) -> Blueprint:
        """The routes outside /api/ and /dashboard/."""
        pages = Blueprint("pages", __name__)
        pages.add_url_rule("/", view_func=self.home, methods=["GET"])
        pages.add_url_rule("/sign-in/<token>", view_func=self.sign_in, methods=["GET"])
        pages.add_url_rule("/sign-in/<token>", view_func=self.choose, methods=["POST"])
        return pages

    def home(self) -> Response:
        """The home page: about this server, and its clients."""
        with self.database.work() as session:
            known = session.scalars(select(Client).order_by(Client.id).limit(_MAX_CLIENTS + 1)).all()
            return page(
                "home.html",
                api_url=f"{self.public_url}{API_PREFIX}/",
                issuer=self.issuer,
                clients=known[:_MAX_CLIENTS],
                more=len(known) > _MAX_CLIENTS,
                remembers=self.remembers,
            )

    def sign_in(self, token: str) -> Response:
        """The sign-in page."""
        with self.database.work() as session:
            sign_in = self._open(session, token)
            # HEAD must not sign anybody in, since link checkers send it.
            if self.auto_login is not None and request.method == "GET":
                return self._approve(session, token, sign_in, directory.find_or_add(session, self.auto_login))
            return ask_who(session, _asking(sign_in))

    def choose(self, token: str) -> Response:
        """Sign in as the chosen or typed person, who may have to approve the client's scopes first."""
        refuse_other_sites()
        form = request.form  # read before the unit of work, in which a slow sender would block all other requests
        with self.database.work() as session:
            sign_in = self._open(session, token)
            before = session.begin_nested()
            try:
                person = chosen(session, form)
            except Invalid as error:
                return ask_who(session, _asking(sign_in), problems=error.problems, typed=form)
            scopes = approvals.to_ask(session, sign_in.client, person)
            # Only scopes that were on the page count: one that was enabled meanwhile has not been approved.
            if scopes and not set(scopes) <= set(form.getlist("scope")):
                descriptions = {scope: approvals.SCOPES[scope] for scope in scopes}
                response = ask_consent(_asking(sign_in), person, descriptions, form, beside=_ALWAYS)
                before.rollback()  # cancelling now must not have changed a person
                return response
            return self._approve(session, token, sign_in, person)

    def _open(self, session: Session, token: str) -> SignIn:
        sign_in = sign_ins.find(session, token)
        if sign_in is None:
            raise Refusal(404, f"No sign-in is known at this address. {START_AGAIN}")
        if sign_in.person_id is not None:
            raise Refusal(410, f"Somebody has already signed in here, and a sign-in page works once. {START_AGAIN}")
        if sign_in.expires_at <= self.clock():
            raise Refusal(410, f"This sign-in page was open for too long. {START_AGAIN}")
        if not sign_ins.may_go_on(sign_in):
            raise Refusal(403, "This app may no longer sign people in.")
        return sign_in

    def _approve(self, session: Session, token: str, sign_in: SignIn, person: Person) -> Response:
        now = self.clock()
        callback_token = token if self.callback_token == "same" else secrets.token_urlsafe(32)
        if not sign_ins.approve(sign_in, person, callback_token=callback_token, now=now):
            raise Refusal(410, f"This sign-in page was open for too long. {START_AGAIN}")
        approvals.approve(session, sign_in.client, person, now=now)
        return see_other(with_query(sign_in.redirect_url, {"token": callback_token}))


def _asking(sign_in: SignIn) -> Asking:
    return Asking(
        client=sign_in.client,
        domain=sign_in.domain,
        redirect_url=sign_in.redirect_url,
        cancel_url=_cancel_url(sign_in),
    )


def _cancel_url(sign_in: SignIn) -> str:
    """The link to cancel: the domain's fallback URI, otherwise the home page of the app."""
    return sign_in.domain.fallback_uri or f"{origin_of(sign_in.redirect_url)}/"
