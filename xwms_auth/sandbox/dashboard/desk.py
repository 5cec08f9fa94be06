"""The desk behind every page of the dashboard: who is there, may they, did they mean it, and what was wrong.

A page is a function of a `Visit`. What it raises is told here: `Invalid` shows the form again with what was typed and
what is wrong with it, `Missing` is a 404, a lack of permission is a 403. Nothing has happened then.

Knows: the member's session, the CSRF check, permissions, and how a page is rendered.
Must not: know any page.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flask import Blueprint, Response, current_app, flash, request, session, url_for
from sqlalchemy.orm import Session

from xwms_auth.sandbox.accounts import Permission, in_a_sentence, may
from xwms_auth.sandbox.answers import Refusal, page, see_other
from xwms_auth.sandbox.dashboard.csrf import csrf_token, is_ours
from xwms_auth.sandbox.data import Database
from xwms_auth.sandbox.data.schema import Account, Member
from xwms_auth.sandbox.faults import Faults
from xwms_auth.sandbox.problems import Invalid, Missing

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
        value = request.form.get(name, "")
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            raise Missing(name)
        return int(value)

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

    def may(self, permission: str) -> bool:
        """Whether the member may; for templates, which hide what would be refused."""
        return self.member is not None and may(self.member, Permission(permission))

    def sign_in(self, member: Member) -> None:
        """Go on as this member."""
        session.clear()  # a new CSRF token with every sign-in
        session[_MEMBER] = [member.id, member.created_at]

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
            "navigation": [entry for entry in _NAVIGATION if _is_there(entry[0])],
            "client_navigation": [entry for entry in _CLIENT_NAVIGATION if _is_there(entry[0])],
        }
        return page(f"dashboard/{template}", status=422 if self.problems else 200, scripts=True, **known)

    def done(self, notice: str, endpoint: str, **values: int) -> Response:
        """303 to a page of the dashboard, which says once what was done. The notice holds no secret."""
        flash(notice)
        return to(endpoint, **values)


def _is_there(endpoint: str) -> bool:
    return f"dashboard.{endpoint.replace('.', '_')}" in current_app.view_functions


def to(endpoint: str, **values: int) -> Response:
    """303 to a page of the dashboard by its rule's name, such as `clients.show`."""
    return see_other(address(endpoint, **values))


def address(endpoint: str, **values: int) -> str:
    """The path of a page of the dashboard by its rule's name; templates know it by this name too."""
    parts: dict[str, Any] = dict(values)
    return url_for(f"dashboard.{endpoint.replace('.', '_')}", **parts)


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
    """What the dashboard stands on. `public_url` is the sandbox's own address without a last slash."""

    database: Database
    clock: Callable[[], float]
    public_url: str
    faults: Faults

    def serve(self, pages: Blueprint, rules: Sequence[Rule]) -> None:
        """Add these routes."""
        for rule in rules:
            pages.add_url_rule(
                rule.path, endpoint=rule.name.replace(".", "_"), view_func=self._guarded(rule), methods=[rule.method]
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
            if rule.needs is not None and not visit.may(rule.needs):
                raise Refusal(
                    403, f"Your role in this account does not allow that. It needs: {in_a_sentence(rule.needs)}."
                )
            return view(visit, **ids)


def _member_of_session(db: Session) -> Member | None:
    """Who is signed in. Whoever was removed is nobody, also where SQLite gave their number to the next member."""
    number, since = session.get(_MEMBER, (None, None))
    member = None if number is None else db.get(Member, number)
    return member if member is not None and member.created_at == since else None


def _check_that_it_was_meant() -> None:
    """Refuse a form that another site sent: by what the browser says, and by a token that only our pages hold."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Refusal(403, "This form can be sent from the dashboard only.")
    if not is_ours(request.form.get("csrf_token")):
        raise Refusal(403, "This page was open for too long, or before you signed in. Go back and reload it.")
