"""A small support desk: anybody reads the answers; whoever logs in with XWMS opens tickets and sees their own."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import URL, Select, String, Text, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from xwms_auth.flask import XWMSAuth, current_user, login_required

SUBJECT_MAX = 120
MESSAGE_MAX = 4000

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024  # bytes of a form
XWMSAuth(app)  # reads the XWMS_... variables of the environment


# --- what is kept ---


class Base(DeclarativeBase):
    pass


class Question(Base):
    __tablename__ = "questions"

    id: Mapped[int] = mapped_column(primary_key=True)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)


class Ticket(Base):
    __tablename__ = "tickets"

    # Random, so that its address tells nobody how many tickets there are.
    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=lambda: secrets.token_hex(8))
    # Who opened it: always this pair, never the e-mail address, which two people can share and which can change hands.
    issuer: Mapped[str] = mapped_column(String(255), index=True)
    sub: Mapped[str] = mapped_column(String(255), index=True)
    subject: Mapped[str] = mapped_column(String(SUBJECT_MAX))
    message: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


QUESTIONS = {
    "Do I need an account to read this page?": "No. Everybody can read the questions and the answers.",
    "How do I ask something that is not here?": "Log in with XWMS and open a ticket. A few sentences are enough.",
    "Who can see my tickets?": "You and the people who answer them. Others cannot, not even with the address.",
    "Do you get to see my password?": "No. You log in at XWMS, which then only tells us who you are.",
    "What should I write in a ticket?": "What you did, what you expected, and what happened. No passwords, please.",
}

database = os.environ.get("SUPPORT_DESK_DB") or str(Path(__file__).with_name("support-desk.sqlite3"))
engine = create_engine(URL.create("sqlite", database=database))

Base.metadata.create_all(engine)
with Session(engine) as db:
    if db.scalar(select(Question)) is None:
        db.add_all(Question(question=question, answer=answer) for question, answer in QUESTIONS.items())
        db.commit()


def own_tickets() -> Select[Ticket]:
    mine = (Ticket.issuer == current_user.issuer, Ticket.sub == current_user.sub)
    return select(Ticket).where(*mine).order_by(Ticket.opened_at.desc())


# --- what is shown ---


@app.get("/")
def home() -> str:
    with Session(engine) as db:
        questions = db.scalars(select(Question).order_by(Question.id)).all()
    return render_template("home.html", questions=questions)


@app.get("/tickets")
@login_required
def tickets() -> str:
    with Session(engine) as db:
        return render_template("tickets.html", tickets=db.scalars(own_tickets()).all())


@app.get("/tickets/new")
@login_required
def new_ticket() -> str:
    return ticket_form()


@app.get("/tickets/<ticket_id>")
@login_required
def ticket(ticket_id: str) -> str:
    with Session(engine) as db:
        # Asked of their own tickets only: somebody else's is as unknown as one that never was.
        found = db.scalar(own_tickets().where(Ticket.id == ticket_id))
    if found is None:
        abort(404)
    return render_template("ticket.html", ticket=found)


@app.post("/tickets")
@login_required
def open_ticket() -> ResponseReturnValue:
    # The session cookie is SameSite=Lax, so a form on another site comes without it and ends at the login. A sibling
    # subdomain (or another port of localhost) is the same *site*, though; the browser says which of them is asking.
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)
    subject = " ".join(request.form.get("subject", "").split())
    message = request.form.get("message", "").replace("\r\n", "\n").strip()
    faults: dict[str, str] = {}
    if not 1 <= len(subject) <= SUBJECT_MAX:
        faults["subject"] = f"Please give your ticket a subject of at most {SUBJECT_MAX} characters."
    if not 1 <= len(message) <= MESSAGE_MAX:
        faults["message"] = f"Please write a message of at most {MESSAGE_MAX} characters."
    if faults:
        return ticket_form(subject=subject, message=message, faults=faults), 422
    with Session(engine) as db:
        opened = Ticket(issuer=current_user.issuer, sub=current_user.sub, subject=subject, message=message)
        db.add(opened)
        db.commit()
        # 303, so that reloading the next page does not send the form again.
        return redirect(f"/tickets/{opened.id}", 303)


def ticket_form(*, subject: str = "", message: str = "", faults: dict[str, str] | None = None) -> str:
    limits = {"subject_max": SUBJECT_MAX, "message_max": MESSAGE_MAX}
    return render_template("new_ticket.html", subject=subject, message=message, faults=faults or {}, **limits)


@app.errorhandler(404)
def not_found(_error: Exception) -> ResponseReturnValue:
    return render_template("not_found.html"), 404
