"""FastAPI with a linker: the login finds or creates the member, and a dependency gives it to an endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from xwms_auth import XWMSConfig
from xwms_auth.accounts import AsyncSQLAlchemyLinker
from xwms_auth.fastapi import XWMSAuthMiddleware, current_account


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(200))
    # --- linking
    blocked: Mapped[bool] = mapped_column(default=False)
    # --- end


def create_app(engine: AsyncEngine, config: XWMSConfig | None = None) -> FastAPI:
    sessions = async_sessionmaker(engine)

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    # --- linking
    fields = {"name": "display_name", "email": "verified_email"}
    members = AsyncSQLAlchemyLinker(Member, sessions, fields=fields, blocked="blocked")
    app.add_middleware(XWMSAuthMiddleware, config=config, linker=members)
    CurrentMember = Annotated[Member, current_account(members, session=get_session)]  # noqa: N806  it is a type
    # --- end

    @app.get("/account")
    async def account(member: CurrentMember) -> str:
        return f"{member.id} {member.name}"

    return app
