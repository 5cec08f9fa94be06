"""A small support desk: anybody can read the answers; users who log in with XWMS open tickets and see their own."""

import logging
import os
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from pathlib import Path

from sqlalchemy import URL, ForeignKey, Select, String, Text, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from xwms_auth import ConfigError, XWMSConfig
from xwms_auth.accounts import SQLAlchemyLinker
from xwms_auth.starlette import XWMSAuthMiddleware, current_account, current_user, login_required, template_context

SUBJECT_MAX = 120
MESSAGE_MAX = 4000
FORM_MAX = 64 * 1024  # bytes of one field
FRESH = timedelta(minutes=15)  # with an older login, users have to log in again to see and end their other sessions

logging.basicConfig(level=logging.INFO)  # shows the log of logins, `xwms_auth`, on standard error

HERE = Path(__file__).parent
database = os.environ.get("SUPPORT_DESK_DB") or str(HERE / "support-desk.sqlite3")
# Sessions are kept in a file beside it, so that they can be listed and ended. XWMS_SESSION_STORE sets another store.
store = os.environ.get("XWMS_SESSION_STORE") or f"sqlite:///{Path(database).with_name('sessions.sqlite3')}"
config = XWMSConfig.from_env({**os.environ, "XWMS_SESSION_STORE": store}, session_secret_required=True)


def path_for(request: Request, name: str, /, **params: str) -> str:
    # Only the path, with the prefix if there is one: behind a proxy with TLS the server takes the scheme for http, and
    # a browser loads no such stylesheet into a page with https.
    return request.url_for(name, **params).path


def links(request: Request) -> dict[str, object]:
    """Return the name `url_for` for templates."""
    return {"url_for": partial(path_for, request)}


templates = Jinja2Templates(HERE / "templates", context_processors=[template_context, links])


# --- models ---


class Base(DeclarativeBase):
    pass


class Question(Base):
    __tablename__ = "questions"

    id: Mapped[int] = mapped_column(primary_key=True)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)


class Person(Base):
    """Somebody who has logged in. The linker below adds the row, and keeps its name and address up to date."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)  # not unique: two people may share one
    blocked: Mapped[bool] = mapped_column(default=False)  # True keeps them out


class Ticket(Base):
    __tablename__ = "tickets"

    # Random, so that its URL does not reveal how many tickets there are.
    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=lambda: secrets.token_hex(8))
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id), index=True)
    subject: Mapped[str] = mapped_column(String(SUBJECT_MAX))
    message: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    person: Mapped[Person] = relationship()


QUESTIONS = {
    "Do I need an account to read this page?": "No. Everybody can read the questions and the answers.",
    "How do I ask something that is not here?": "Log in with XWMS and open a ticket. A few sentences are enough.",
    "Who can see my tickets?": "You and the people who answer them. Nobody else can, not even with the link.",
    "Do you get to see my password?": "No. You log in at XWMS, which only tells us who you are.",
    "What should I write in a ticket?": "What you did, what you expected, and what happened. No passwords, please.",
}

engine = create_engine(URL.create("sqlite", database=database))


@event.listens_for(engine, "connect")
def enforce_foreign_keys(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")  # without this SQLite ignores them


# Finds a user's row by (issuer, sub), in a table `xwms_identities` of its own; never by the e-mail address, which may
# later belong to somebody else.
people = SQLAlchemyLinker(Person, engine, fields={"name": "display_name", "email": "verified_email"}, blocked="blocked")

Base.metadata.create_all(engine)
with Session(engine) as db:
    if db.scalar(select(Question)) is None:
        db.add_all(Question(question=question, answer=answer) for question, answer in QUESTIONS.items())
        db.commit()


def own_tickets(person: Person) -> Select[Ticket]:
    return select(Ticket).where(Ticket.person_id == person.id).order_by(Ticket.opened_at.desc())


def save_ticket(person: Person, subject: str, message: str) -> str:
    with Session(engine) as db:
        opened = Ticket(person_id=person.id, subject=subject, message=message)
        db.add(opened)
        db.commit()
        return opened.id


# --- pages ---
# Starlette runs a plain `def` endpoint in a thread, where waiting for the database does not block other requests.


def for_person(endpoint: Callable[[Request, Person], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Require login, and call a plain `def` endpoint, in a thread, with the user's row."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        return await run_in_threadpool(endpoint, request, await current_account(request, people))

    return guarded


def home(request: Request) -> Response:
    with Session(engine) as db:
        questions = db.scalars(select(Question).order_by(Question.id)).all()
    return templates.TemplateResponse(request, "home.html", {"questions": questions})


@for_person
def tickets(request: Request, person: Person) -> Response:
    with Session(engine) as db:
        found = db.scalars(own_tickets(person)).all()
    return templates.TemplateResponse(request, "tickets.html", {"tickets": found})


@login_required
def new_ticket(request: Request) -> Response:
    return ticket_form(request)


@for_person
def ticket(request: Request, person: Person) -> Response:
    with Session(engine) as db:
        # Searched among the user's own tickets: somebody else's gets the same 404 as one that does not exist.
        found = db.scalar(own_tickets(person).where(Ticket.id == request.path_params["ticket_id"]))
        if found is None:
            raise HTTPException(404)
        return templates.TemplateResponse(request, "ticket.html", {"ticket": found})


async def open_ticket(request: Request) -> Response:
    person = await current_account(request, people)  # requires login, too
    require_own_form(request)
    async with request.form(max_files=0, max_fields=2, max_part_size=FORM_MAX) as form:
        subject = " ".join(str(form.get("subject", "")).split())
        message = str(form.get("message", "")).replace("\r\n", "\n").strip()
    errors: dict[str, str] = {}
    if not 1 <= len(subject) <= SUBJECT_MAX:
        errors["subject"] = f"Please give your ticket a subject of at most {SUBJECT_MAX} characters."
    if not 1 <= len(message) <= MESSAGE_MAX:
        errors["message"] = f"Please write a message of at most {MESSAGE_MAX} characters."
    if errors:
        return ticket_form(request, subject=subject, message=message, errors=errors)
    # 303, so that reloading the next page does not send the form again.
    ticket_id = await run_in_threadpool(save_ticket, person, subject, message)
    return RedirectResponse(path_for(request, "ticket", ticket_id=ticket_id), 303)


def require_own_form(request: Request) -> None:
    # CSRF: the session cookie is SameSite=Lax, so a form on another site is sent without it and ends at the login. A
    # sibling subdomain, or another port of localhost, is the same *site* though; Sec-Fetch-Site tells them apart.
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise HTTPException(403)


def ticket_form(
    request: Request, *, subject: str = "", message: str = "", errors: dict[str, str] | None = None
) -> Response:
    limits = {"subject_max": SUBJECT_MAX, "message_max": MESSAGE_MAX}
    context = {"subject": subject, "message": message, "errors": errors or {}, **limits}
    return templates.TemplateResponse(request, "new_ticket.html", context, 422 if errors else 200)


# With a stolen cookie it must not be possible to choose which of the user's other sessions to end. So the list, which
# has the ids needed for that, requires a fresh login. Ending everything requires none: it ends the thief's session too.


@login_required(fresh=FRESH)
async def devices(request: Request) -> Response:
    sessions = await request.auth.sessions.list(current_user.sub)
    return templates.TemplateResponse(request, "devices.html", {"sessions": sessions})


@login_required
async def end_session(request: Request) -> Response:
    require_own_form(request)
    async with request.form(max_files=0, max_fields=1, max_part_size=FORM_MAX) as form:
        session_id = str(form.get("id", ""))
    # With `sub`, only the user's own sessions can be ended. If it has ended meanwhile, nothing happens.
    await request.auth.sessions.revoke(session_id, sub=current_user.sub)
    return RedirectResponse(path_for(request, "devices"), 303)


@login_required
async def end_all_sessions(request: Request) -> Response:
    require_own_form(request)
    await request.auth.sessions.revoke_all(current_user.sub)
    # 307: the browser repeats the POST at the logout, which clears its cookie and redirects to the home page.
    return RedirectResponse(config.logout_path, 307)


def ago(moment: datetime) -> str:
    """Return how long ago that was, in words, because the user's time zone is unknown."""
    minutes = max(0, int((datetime.now(UTC) - moment).total_seconds()) // 60)
    if minutes < 10:
        return "a few minutes ago" if minutes else "just now"
    count, unit = (minutes, "minute") if minutes < 60 else (minutes // 60, "hour")
    if count >= 24 and unit == "hour":
        count, unit = count // 24, "day"
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


templates.env.filters["ago"] = ago


def no_devices(request: Request, _error: Exception) -> Response:
    """With XWMS_SESSION_STORE=cookie the server has no list of sessions."""
    return templates.TemplateResponse(request, "no_devices.html", status_code=404)


def not_found(request: Request, _error: Exception) -> Response:
    return templates.TemplateResponse(request, "not_found.html", status_code=404)


app = Starlette(
    routes=[
        Route("/", home),
        Route("/tickets", tickets),
        Route("/tickets", open_ticket, methods=["POST"]),
        Route("/tickets/new", new_ticket),
        Route("/tickets/{ticket_id}", ticket),
        Route("/devices", devices),
        Route("/devices/end", end_session, methods=["POST"]),
        Route("/devices/end-all", end_all_sessions, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
    ],
    middleware=[Middleware(XWMSAuthMiddleware, config, linker=people)],
    exception_handlers={404: not_found, ConfigError: no_devices},
)
