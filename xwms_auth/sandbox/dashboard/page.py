"""What every page of the dashboard shares: the member's session, the CSRF check, permissions, and errors in forms.

A page is a function of a `Visit`. Its exceptions are handled here: `Invalid` shows the form again with the submitted
values and the errors, `Missing` becomes a 404, a missing permission a 403. All of them roll back the unit of work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flask import Blueprint, Response, flash, request, session, url_for
from sqlalchemy.orm import Session

from xwms_auth.sandbox.dashboard.csrf import csrf_token, is_valid
from xwms_auth.sandbox.dashboard.sessions import Sessions
from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.db.schema import Account, Client, Grant, Member
from xwms_auth.sandbox.domain.accounts import Permission, in_a_sentence, may, roles_that_may
from xwms_auth.sandbox.domain.clients import client_of
from xwms_auth.sandbox.domain.problems import Invalid, Missing
from xwms_auth.sandbox.faults.catalogue import Faults
from xwms_auth.sandbox.web.responses import Refusal, page, see_other

DASHBOARD_PREFIX: Final = "/dashboard"
_SESSION: Final = "id"
_LARGEST_ID: Final = 2**63 - 1  # of SQLite; a path may contain a larger number, which the driver does not accept

_NAVIGATION: Final = (
    ("clients.list", "Clients", "clients"),
    ("members.list", "Members", "members"),
    ("plan.show", "Plan", "plan"),
    ("people.list", "People", "people"),
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
    """One request of the dashboard: the database, the member, and the errors in the submitted form.

    `now` is in seconds since 1970. `problems` maps a field to a sentence, `typed` has the submitted values; both are
    empty unless the page is shown again because of an error.
    """

    dashboard: "Dashboard"
    db: Session
    now: float
    member: Member | None
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    typed: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def form(self) -> Mapping[str, str]:
        """The submitted fields."""
        return request.form

    def all(self, name: str) -> Sequence[str]:
        """Every submitted value of a field, such as ticked boxes."""
        return request.form.getlist(name)

    def number(self, name: str) -> int:
        """A field that contains an id. Raises `Missing` for anything else."""
        return _id(request.form.get(name, ""))

    def numbers(self, name: str) -> list[int]:
        """Every value of a field that contains ids. Raises `Missing` for anything else."""
        return [_id(value) for value in self.all(name)]

    @property
    def current_member(self) -> Member:
        """The signed-in member. Not for pages that are open to everybody."""
        if self.member is None:
            raise Missing("member")
        return self.member

    @property
    def account(self) -> Account:
        """The account of the member."""
        return self.current_member.account

    def client(self, number: int) -> Client:
        """The account's client with this id. Raises `Missing`."""
        return client_of(self.db, self.account, number)

    def may(self, permission: str) -> bool:
        """Whether the member has the permission; templates hide what would be refused."""
        return self.member is not None and may(self.member, Permission(permission))

    def require(self, permission: Permission) -> None:
        """Refuse with 403 unless the member has the permission."""
        if not self.may(permission):
            raise Refusal(403, self.who_may(permission))

    def who_may(self, permission: str) -> str:
        """A sentence for a member who has not got the permission: what it allows, and which roles have it."""
        names = [role.name for role in roles_that_may(self.account, Permission(permission))]
        listed = " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
        mine, what = self.current_member.role.name, in_a_sentence(Permission(permission))
        return f"Your role, {mine}, does not allow you to {what}. For that you need the role {listed}."

    def sign_in(self, member: Member) -> None:
        """Sign in as this member."""
        self.sign_out()  # session fixation: a new CSRF token with every sign-in
        session[_SESSION] = self.dashboard.sessions.begin(member.id)

    def sign_out(self) -> None:
        """Sign out: the session ends on the server, for a copied cookie too."""
        self.dashboard.sessions.end(session.get(_SESSION, ""))
        session.clear()

    def show(self, template: str, **context: object) -> Response:
        """A page from templates/sandbox/dashboard; status 422 if there are problems."""
        variables: dict[str, Any] = {
            **context,
            "visit": self,
            "problems": self.problems,
            "typed": self.typed,
            "csrf_token": csrf_token,
            "address": address,
            "navigation": _NAVIGATION,
            "client_navigation": _CLIENT_NAVIGATION,
        }
        return page(f"dashboard/{template}", status=422 if self.problems else 200, scripts=True, **variables)

    def done(self, notice: str, endpoint: str, **values: int) -> Response:
        """303 to a page of the dashboard, which shows the notice once. The notice must not contain a secret."""
        flash(notice)
        return to(endpoint, **values)


def number_in_query(name: str) -> int | None:
    """The parameter of the query with this name as a number; None if there is none, or it is no positive one."""
    text = request.args.get(name, "")
    return int(text) or None if text.isascii() and text.isdigit() and len(text) < 10 else None


def to(endpoint: str, **values: int) -> Response:
    """303 to the page of a rule, such as `clients.show`."""
    return see_other(address(endpoint, **values))


def address(endpoint: str, **values: int) -> str:
    """The path of the page of a rule; also a function in templates."""
    parts: dict[str, Any] = dict(values)
    return url_for(f"dashboard.{_flask_name(endpoint)}", **parts)


def _flask_name(rule: str) -> str:
    return rule.replace(".", "_")  # Flask reserves the dot for blueprints


def _id(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise Missing("id")
    return int(value)


View = Callable[..., Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A route of the dashboard. `shows` is the page that shows `Invalid` errors; `needs` is the required permission.

    `open` pages are for everybody; all others redirect to the entrance if nobody is signed in.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    view: View
    shows: View | None = None
    needs: Permission | None = None
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """The dependencies of the dashboard. `public_url` is the sandbox's own URL without a trailing slash.

    `issuer` is usually the same. `tell_logouts` sends logout tokens to apps whose logins have ended, after the request.
    """

    database: Database
    clock: Callable[[], float]
    public_url: str
    issuer: str
    faults: Faults
    tell_logouts: Callable[[Session, Sequence[Grant]], None]
    sessions: Sessions = field(default_factory=Sessions)

    def serve(self, pages: Blueprint, rules: Sequence[Rule]) -> None:
        """Add these routes."""
        for rule in rules:
            pages.add_url_rule(
                rule.path, endpoint=_flask_name(rule.name), view_func=self._guarded(rule), methods=[rule.method]
            )

    def _guarded(self, rule: Rule) -> View:
        def view(**ids: int) -> Response:
            request.form  # noqa: B018  read before the unit of work, in which a slow sender would block all others
            if rule.method == "POST":
                _check_csrf()
            try:
                if any(number > _LARGEST_ID for number in ids.values()):
                    raise Missing("id")
                return self._run(rule, rule.view, ids)
            except Invalid as error:
                if rule.shows is None:
                    raise Refusal(422, str(error)) from None
                return self._run(rule, rule.shows, ids, problems=error.problems, typed=request.form)
            except Missing:
                raise Refusal(404, "This does not exist in this account.") from None

        return view

    def _run(
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
                dashboard=self,
                db=db,
                now=self.clock(),
                member=self._member_of_session(db),
                problems=problems or {},
                typed=typed or {},
            )
            if visit.member is None and not rule.open:
                return to("entrance.show")
            if rule.needs is not None:
                visit.require(rule.needs)
            return view(visit, **ids)

    def _member_of_session(self, db: Session) -> Member | None:
        """The signed-in member. None for a removed one, since ids are never reused."""
        number = self.sessions.member_of(session.get(_SESSION, ""))
        return None if number is None else db.get(Member, number)


def _check_csrf() -> None:
    """Cross-site request forgery: refuse a form of another site, by Fetch Metadata and by a CSRF token."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Refusal(403, "This form can only be sent from the dashboard.")
    if not is_valid(request.form.get("csrf_token")):
        raise Refusal(403, "This page was open for too long, or before you signed in. Go back and reload it.")
