"""A small support desk: anybody can read the answers; users who log in with XWMS open tickets and see their own."""

import logging
import os
import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Flask, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import URL, ForeignKey, Select, String, Text, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from xwms_auth import ConfigError, XWMSConfig
from xwms_auth.accounts import SQLAlchemyLinker
from xwms_auth.flask import XWMSAuth, current_user, login_required

SUBJECT_MAX = 120
MESSAGE_MAX = 4000
FRESH = timedelta(minutes=15)  # with an older login, users have to log in again to see and end their other sessions

logging.basicConfig(level=logging.INFO)  # shows the log of logins, `xwms_auth`, on standard error

database = os.environ.get("SUPPORT_DESK_DB") or str(Path(__file__).with_name("support-desk.sqlite3"))
# Sessions are kept in a file beside it, so that they can be listed and ended. XWMS_SESSION_STORE sets another store.
store = os.environ.get("XWMS_SESSION_STORE") or f"sqlite:///{Path(database).with_name('sessions.sqlite3')}"

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024  # bytes of a form
config = XWMSConfig.from_env({**os.environ, "XWMS_SESSION_STORE": store}, session_secret_required=True)


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
auth = XWMSAuth(app, config, linker=people)

Base.metadata.create_all(engine)
with Session(engine) as db:
    if db.scalar(select(Question)) is None:
        db.add_all(Question(question=question, answer=answer) for question, answer in QUESTIONS.items())
        db.commit()


def own_tickets(person: Person) -> Select[Ticket]:
    return select(Ticket).where(Ticket.person == person).order_by(Ticket.opened_at.desc())


# --- pages ---


@app.get("/")
def home() -> str:
    with Session(engine) as db:
        questions = db.scalars(select(Question).order_by(Question.id)).all()
    return render_template("home.html", questions=questions)


@app.get("/tickets")
@login_required
def tickets() -> str:
    with Session(engine) as db:
        mine = own_tickets(auth.account(session=db))
        return render_template("tickets.html", tickets=db.scalars(mine).all())


@app.get("/tickets/new")
@login_required
def new_ticket() -> str:
    return ticket_form()


@app.get("/tickets/<ticket_id>")
@login_required
def ticket(ticket_id: str) -> str:
    with Session(engine) as db:
        # Searched among the user's own tickets: somebody else's gets the same 404 as one that does not exist.
        found = db.scalar(own_tickets(auth.account(session=db)).where(Ticket.id == ticket_id))
        if found is None:
            abort(404)
        return render_template("ticket.html", ticket=found)


@app.post("/tickets")
@login_required
def open_ticket() -> ResponseReturnValue:
    require_own_form()
    subject = " ".join(request.form.get("subject", "").split())
    message = request.form.get("message", "").replace("\r\n", "\n").strip()
    errors: dict[str, str] = {}
    if not 1 <= len(subject) <= SUBJECT_MAX:
        errors["subject"] = f"Please give your ticket a subject of at most {SUBJECT_MAX} characters."
    if not 1 <= len(message) <= MESSAGE_MAX:
        errors["message"] = f"Please write a message of at most {MESSAGE_MAX} characters."
    if errors:
        return ticket_form(subject=subject, message=message, errors=errors), 422
    with Session(engine) as db:
        opened = Ticket(person=auth.account(session=db), subject=subject, message=message)
        db.add(opened)
        db.commit()
        # 303, so that reloading the next page does not send the form again.
        return redirect(url_for("ticket", ticket_id=opened.id), 303)


def require_own_form() -> None:
    # CSRF: the session cookie is SameSite=Lax, so a form on another site is sent without it and ends at the login. A
    # sibling subdomain, or another port of localhost, is the same *site* though; Sec-Fetch-Site tells them apart.
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)


def ticket_form(*, subject: str = "", message: str = "", errors: dict[str, str] | None = None) -> str:
    limits = {"subject_max": SUBJECT_MAX, "message_max": MESSAGE_MAX}
    return render_template("new_ticket.html", subject=subject, message=message, errors=errors or {}, **limits)


# With a stolen cookie it must not be possible to choose which of the user's other sessions to end. So the list, which
# has the ids needed for that, requires a fresh login. Ending everything requires none: it ends the thief's session too.


@app.get("/devices")
@login_required(fresh=FRESH)
def devices() -> str:
    return render_template("devices.html", sessions=auth.sessions.list(own_sub()))


@app.post("/devices/end")
@login_required
def end_session() -> ResponseReturnValue:
    require_own_form()
    # With `sub`, only the user's own sessions can be ended. If it has ended meanwhile, nothing happens.
    auth.sessions.revoke(request.form.get("id", ""), sub=own_sub())
    return redirect(url_for("devices"), 303)


@app.post("/devices/end-all")
@login_required
def end_all_sessions() -> ResponseReturnValue:
    require_own_form()
    auth.sessions.revoke_all(own_sub())
    # 307: the browser repeats the POST at the logout, which clears its cookie and redirects to the home page.
    return redirect(config.logout_path, 307)


def own_sub() -> str:
    return current_user.sub or abort(401)  # never None for a user who is signed in; this tells type checkers


@app.template_filter()
def ago(moment: datetime) -> str:
    """Return how long ago that was, in words, because the user's time zone is unknown."""
    minutes = max(0, int((datetime.now(UTC) - moment).total_seconds()) // 60)
    if minutes < 10:
        return "a few minutes ago" if minutes else "just now"
    count, unit = (minutes, "minute") if minutes < 60 else (minutes // 60, "hour")
    if count >= 24 and unit == "hour":
        count, unit = count // 24, "day"
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


@app.errorhandler(ConfigError)
def no_devices(_error: Exception) -> ResponseReturnValue:
    """With XWMS_SESSION_STORE=cookie the server has no list of sessions."""
    return render_template("no_devices.html"), 404


@app.errorhandler(404)
def not_found(_error: Exception) -> ResponseReturnValue:
    return render_template("not_found.html"), 404
