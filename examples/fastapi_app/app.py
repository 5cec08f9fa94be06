"""A small support desk as an API with one page: members open tickets, and every open window shows them at once."""

import logging
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ForeignKey, Select, String, Text, event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from xwms_auth import XWMSConfig
from xwms_auth.accounts import AsyncSQLAlchemyLinker
from xwms_auth.fastapi import XWMSAuthMiddleware, current_account

SUBJECT_MAX = 120
MESSAGE_MAX = 4000

logging.basicConfig(level=logging.INFO)  # shows the log of logins, `xwms_auth`, on standard error

HERE = Path(__file__).parent
database = os.environ.get("DATABASE_URL") or f"sqlite+aiosqlite:///{HERE / 'support-desk.sqlite3'}"
# Sessions are kept in a file, so that a logout ends them everywhere. XWMS_SESSION_STORE sets another store.
store = os.environ.get("XWMS_SESSION_STORE") or f"sqlite:///{HERE / 'sessions.sqlite3'}"
config = XWMSConfig.from_env({**os.environ, "XWMS_SESSION_STORE": store}, session_secret_required=True)


# --- models ---


class Base(DeclarativeBase):
    pass


class Member(Base):
    """Somebody who has logged in. The linker below adds the row, and keeps its name and address up to date."""

    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)  # not unique: two people may share one
    blocked: Mapped[bool] = mapped_column(default=False)  # True keeps them out


class Ticket(Base):
    __tablename__ = "tickets"

    # Random, so that its URL does not reveal how many tickets there are.
    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=lambda: secrets.token_hex(8))
    member_id: Mapped[int] = mapped_column(ForeignKey(Member.id), index=True)
    subject: Mapped[str] = mapped_column(String(SUBJECT_MAX))
    message: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))


engine = create_async_engine(database)

if engine.dialect.name == "sqlite":

    @event.listens_for(engine.sync_engine, "connect")
    def enforce_foreign_keys(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")  # without this SQLite ignores them


# Finds a user's row by (issuer, sub), in a table `xwms_identities` of its own; never by the e-mail address, which may
# later belong to somebody else.
members = AsyncSQLAlchemyLinker(
    Member, engine, fields={"name": "display_name", "email": "verified_email"}, blocked="blocked"
)


async def get_db() -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as db:
        yield db


DB = Annotated[AsyncSession, Depends(get_db)]
CurrentMember = Annotated[Member, current_account(members, session=get_db)]
OptionalMember = Annotated[Member | None, current_account(members, session=get_db, optional=True)]
# Loaded without `get_db`, which would keep a connection to the database for as long as the websocket is open.
LiveMember = Annotated[Member, current_account(members)]


def own_tickets(member: Member) -> Select[Ticket]:
    return select(Ticket).where(Ticket.member_id == member.id).order_by(Ticket.opened_at.desc())


# --- what the API takes and gives ---


def storable(text: str) -> str:
    text.encode()  # JSON may have half of a pair of surrogates: a ValueError
    return text.replace("\0", "")  # PostgreSQL takes none


def one_line(text: str) -> str:
    return " ".join(storable(text).split())


def trimmed(text: str) -> str:
    return storable(text).replace("\r\n", "\n").strip()


def in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # SQLite forgets it


class NewTicket(BaseModel):
    subject: Annotated[str, AfterValidator(one_line), Field(min_length=1, max_length=SUBJECT_MAX)]
    message: Annotated[str, AfterValidator(trimmed), Field(min_length=1, max_length=MESSAGE_MAX)]


ERRORS = {
    "subject": f"Please give your ticket a subject of at most {SUBJECT_MAX} characters.",
    "message": f"Please write a message of at most {MESSAGE_MAX} characters.",
}


class ShownTicket(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    subject: str
    message: str
    opened_at: Annotated[datetime, AfterValidator(in_utc)]


class ShownMember(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    email: str | None


class Me(BaseModel):
    member: ShownMember | None
    signed_out: str | None  # why somebody who was logged in is not any more
    login_url: str
    logout_url: str


# --- the API ---


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


# Without the pages /docs and /redoc, which load scripts from elsewhere; /openapi.json is there.
app = FastAPI(title="Support desk", lifespan=lifespan, docs_url=None, redoc_url=None)
app.add_middleware(XWMSAuthMiddleware, config=config, linker=members)


def from_own_page(request: Request) -> None:
    # CSRF: the session cookie is SameSite=Lax, so what another site posts comes without it and gets a 401. A sibling
    # subdomain, or another port of localhost, is the same *site* though. It cannot send JSON: FastAPI, since 0.132,
    # takes a body for JSON only with that Content-Type, for which browsers ask first (a CORS preflight), and nothing
    # here says yes. Sec-Fetch-Site tells of it as well, whatever it sends.
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise HTTPException(403)


@app.get("/api/me")
async def me(request: Request, member: OptionalMember) -> Me:
    ended = None if member else request.user.signed_out
    return Me(
        member=ShownMember.model_validate(member) if member else None,
        signed_out=ended.detail if ended else None,
        login_url=config.login_path,
        logout_url=config.logout_path,
    )


@app.get("/api/tickets", response_model=list[ShownTicket])
async def tickets(member: CurrentMember, db: DB) -> Any:
    return (await db.scalars(own_tickets(member))).all()


@app.get("/api/tickets/{ticket_id}", response_model=ShownTicket)
async def ticket(ticket_id: str, member: CurrentMember, db: DB) -> Any:
    # Searched among the member's own tickets: somebody else's gets the same 404 as one that does not exist.
    found = await db.scalar(own_tickets(member).where(Ticket.id == ticket_id))
    if found is None:
        raise HTTPException(404)
    return found


@app.post("/api/tickets", status_code=201, dependencies=[Depends(from_own_page)])
async def open_ticket(new: NewTicket, member: CurrentMember, db: DB, after: BackgroundTasks) -> ShownTicket:
    opened = Ticket(member_id=member.id, subject=new.subject, message=new.message)
    db.add(opened)
    await db.commit()
    shown = ShownTicket.model_validate(opened)
    after.add_task(tell, member.id, shown)
    return shown


@app.exception_handler(RequestValidationError)
async def not_valid(_request: Request, error: RequestValidationError) -> Response:
    wrong = {str(fault["loc"][-1]) for fault in error.errors()}
    return JSONResponse({"errors": {name: text for name, text in ERRORS.items() if name in wrong}}, 422)


# --- the websocket ---

# The open windows, and whose they are. Those of this process: to reach the windows of other processes, tell these by
# PostgreSQL's NOTIFY or by Redis.
windows: dict[WebSocket, int] = {}


@app.websocket("/live")
async def live(window: WebSocket, member: LiveMember) -> None:
    # Nobody's handshake is refused by `LiveMember`, and one from a page of another origin by the middleware.
    await window.accept()
    windows[window] = member.id
    try:
        await window.receive()  # the page sends nothing, so this is its end, or that of the session
    finally:
        del windows[window]


async def tell(member_id: int, shown: ShownTicket) -> None:
    """Send a new ticket to the windows of the member who has opened it, and to nobody else's."""
    for window in [window for window, owner in windows.items() if owner == member_id]:
        with suppress(WebSocketDisconnect, RuntimeError):  # it has been closed meanwhile
            await window.send_text(shown.model_dump_json())


# --- the page ---

# A form that logs in leads to XWMS, and browsers hold `form-action` against that redirect too.
# The issuer is a name, which need not be where people log in: a local XWMS keeps its own on every port.
places = [urlsplit(url) for url in (config.api_url, config.issuer, config.authorization_endpoint) if url]
login_origins = config.login_origins or dict.fromkeys(
    f"{place.scheme}://{host}" for place in places for host in (place.netloc, f"*.{place.netloc}")
)
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    f"form-action 'self' {' '.join(login_origins)}; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@app.get("/", include_in_schema=False)
@app.get("/tickets", include_in_schema=False)
@app.get("/tickets/new", include_in_schema=False)
@app.get("/tickets/{ticket_id}", include_in_schema=False)
async def page() -> Response:
    """The same for everybody: what is to be seen there, its script asks the API."""
    return FileResponse(HERE / "static" / "index.html", headers=HEADERS)


@app.exception_handler(404)
async def not_found(request: Request, _error: Exception) -> Response:
    if request.url.path.startswith(("/api/", "/static/")):
        return JSONResponse({"detail": "There is nothing here."}, 404)
    return FileResponse(HERE / "static" / "index.html", 404, headers=HEADERS)


app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
