"""The desk behind every page of the dashboard: who is there, may they, did they mean it, and what was wrong.

A page is a function of a `Visit`. What it raises is told here: `Invalid` shows the form again with what was typed and
what is wrong with it, `Missing` is a 404, a lack of permission is a 403. Nothing has happened then.

Knows: the member's session, the CSRF check, permissions, and how a page is rendered.
Must not: know any page.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flask import Blueprint, Response, flash, request, session, url_for
from sqlalchemy.orm import Session

from xwms_auth.sandbox.dashboard.csrf import csrf_token, is_ours
from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.db.schema import Account, Client, Grant, Member
from xwms_auth.sandbox.domain.accounts import Permission, in_a_sentence, may
from xwms_auth.sandbox.domain.clients import client_of
from xwms_auth.sandbox.domain.problems import Invalid, Missing
from xwms_auth.sandbox.faults.catalogue import Faults
from xwms_auth.sandbox.web.responses import Refusal, page, see_other

DASHBOARD_PREFIX: Final = "/dashboard"
_MEMBER: Final = "member"
_LARGEST_ID: Final = 2**63 - 1  # SQLite's; a path may name a larger number, and the driver would fail on it

_NAVIGATION: Final = (
    ("clients.list", "Clients", "clients"),
    ("members.list", "Members", "members"),
    ("plan.show", "Plan", "plan"),
    ("faults.show", "Faults", "faults"),
)
_CLIENT_NAVIGATION: Final = (
    ("clients.show", "Overview"),
    ("secrets.show", "Secrets"),
    ("redirect_uris.show", "Redirect URIs"),
    ("domains.list", "Domains"),
    ("scopes.show", "Scopes"),
    ("users.list", "Users"),
    ("api_log.show", "API log"),
)


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request of the dashboard: the database, who asks, and what was wrong with what they sent.

    `now` is in seconds since 1970. `problems` maps a field to a sentence, `typed` has what was sent with it;
    both are empty unless the page is shown again because of them.
    """

    desk: "Desk"
    db: Session
    now: float
    member: Member | None
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    typed: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def form(self) -> Mapping[str, str]:
        """The fields that were sent."""
        return request.form

    def all(self, name: str) -> Sequence[str]:
        """Every value that was sent for a field, such as ticked boxes."""
        return request.form.getlist(name)

    def number(self, name: str) -> int:
        """A field that holds one of our own ids. Raises `Missing` for anything else."""
        return _id(request.form.get(name, ""))

    def numbers(self, name: str) -> list[int]:
        """Every value of a field that holds our own ids. Raises `Missing` for anything else."""
        return [_id(value) for value in self.all(name)]

    @property
    def somebody(self) -> Member:
        """The member who asks; pages that are open to nobody in particular do not use this."""
        if self.member is None:
            raise Missing("member")
        return self.member

    @property
    def account(self) -> Account:
        """The account that the member works in."""
        return self.somebody.account

    def client(self, number: int) -> Client:
        """The account's client with this number. Raises `Missing`."""
        return client_of(self.db, self.account, number)

    def may(self, permission: str) -> bool:
        """Whether the member may; for templates, which hide what would be refused."""
        return self.member is not None and may(self.member, Permission(permission))

    def require(self, permission: Permission) -> None:
        """Refuse with 403 unless the member may."""
        if not self.may(permission):
            raise Refusal(403, f"Your role in this account does not allow that. It needs: {in_a_sentence(permission)}.")

    def sign_in(self, member: Member) -> None:
        """Go on as this member."""
        session.clear()  # a new CSRF token with every sign-in
        session[_MEMBER] = member.id

    def sign_out(self) -> None:
        """Go on as nobody."""
        session.clear()

    def show(self, template: str, **context: object) -> Response:
        """A page below templates/sandbox/dashboard; status 422 while there are problems to show."""
        known: dict[str, Any] = {
            **context,
            "visit": self,
            "problems": self.problems,
            "typed": self.typed,
            "csrf_token": csrf_token,
            "address": address,
            "navigation": _NAVIGATION,
            "client_navigation": _CLIENT_NAVIGATION,
        }
        return page(f"dashboard/{template}", status=422 if self.problems else 200, scripts=True, **known)

    def done(self, notice: str, endpoint: str, **values: int) -> Response:
        """303 to a page of the dashboard, which says once what was done. The notice holds no secret."""
        flash(notice)
        return to(endpoint, **values)


def to(endpoint: str, **values: int) -> Response:
    """303 to a page of the dashboard by its rule's name, such as `clients.show`."""
    return see_other(address(endpoint, **values))


def address(endpoint: str, **values: int) -> str:
    """The path of a page of the dashboard by its rule's name; templates know it by this name too."""
    parts: dict[str, Any] = dict(values)
    return url_for(f"dashboard.{_flask_name(endpoint)}", **parts)


def _flask_name(rule: str) -> str:
    return rule.replace(".", "_")  # Flask keeps the dot for its blueprints


def _id(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise Missing("id")
    return int(value)


View = Callable[..., Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A route of the dashboard. `shows` is the page that shows `Invalid`; `needs` what the member must be allowed.

    `open` pages are for everybody; all others send those away who are not signed in.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    view: View
    shows: View | None = None
    needs: Permission | None = None
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the dashboard stands on. `public_url` is the sandbox's own address without a last slash.

    `tell_logouts` tells apps that logins have ended, once the request is over.
    """

    database: Database
    clock: Callable[[], float]
    public_url: str
    faults: Faults
    tell_logouts: Callable[[Session, Sequence[Grant]], None]

    def serve(self, pages: Blueprint, rules: Sequence[Rule]) -> None:
        """Add these routes."""
        for rule in rules:
            pages.add_url_rule(
                rule.path, endpoint=_flask_name(rule.name), view_func=self._guarded(rule), methods=[rule.method]
            )

    def _guarded(self, rule: Rule) -> View:
        def view(**ids: int) -> Response:
            request.form  # noqa: B018  read outside the unit of work: a slow sender would keep everybody else waiting
            if rule.method == "POST":
                _check_that_it_was_meant()
            try:
                if any(number > _LARGEST_ID for number in ids.values()):
                    raise Missing("id")
                return self._visited(rule, rule.view, ids)
            except Invalid as fault:
                if rule.shows is None:
                    raise Refusal(422, str(fault)) from None
                return self._visited(rule, rule.shows, ids, problems=fault.problems, typed=request.form)
            except Missing:
                raise Refusal(404, "There is no such thing in this account.") from None

        return view

    def _visited(
        self,
        rule: Rule,
        view: View,
        ids: Mapping[str, int],
        *,
        problems: Mapping[str, str] | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        with self.database.work() as db:
            visit = Visit(
                desk=self,
                db=db,
                now=self.clock(),
                member=_member_of_session(db),
                problems=problems or {},
                typed=typed or {},
            )
            if visit.member is None and not rule.open:
                return to("entrance.show")
            if rule.needs is not None:
                visit.require(rule.needs)
            return view(visit, **ids)


def _member_of_session(db: Session) -> Member | None:
    """Who is signed in. Whoever was removed is nobody: no id is given twice."""
    number: int | None = session.get(_MEMBER)
    return None if number is None else db.get(Member, number)


def _check_that_it_was_meant() -> None:
    """Refuse a form that another site sent: by what the browser says, and by a token that only our pages hold."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Refusal(403, "This form can be sent from the dashboard only.")
    if not is_ours(request.form.get("csrf_token")):
        raise Refusal(403, "This page was open for too long, or before you signed in. Go back and reload it.")
