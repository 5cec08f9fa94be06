"""fastapi-users with its OAuth router. Needs `fastapi-users[sqlalchemy,oauth]`."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, CookieTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseOAuthAccountTableUUID, SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.exceptions import UserAlreadyExists
from httpx_oauth.clients.openid import OpenID
from sqlalchemy import String, UniqueConstraint
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


# --- linking
class OAuthAccount(SQLAlchemyBaseOAuthAccountTableUUID, Base):
    # `oauth_name` stands for the issuer. The table as it comes has indexes only.
    __table_args__ = (UniqueConstraint("oauth_name", "account_id"),)


# --- end


class User(SQLAlchemyBaseUserTableUUID, Base):
    name: Mapped[str | None] = mapped_column(String(200))
    # --- linking
    oauth_accounts: Mapped[list[OAuthAccount]] = relationship("OAuthAccount", lazy="joined")
    # --- end


# --- linking
class UserDatabase(SQLAlchemyUserDatabase[User, uuid.UUID]):
    async def create(self, create_dict: dict[str, Any]) -> User:
        """Without the commit: that of `add_oauth_account` is for both rows, so that none is left alone."""
        user = self.user_table(**create_dict)
        self.session.add(user)
        await self.session.flush()
        return user


# --- end


class XWMS(OpenID):
    # --- linking
    async def get_id_email(self, token: str) -> tuple[str, str | None]:
        """Only a verified address: by itself the client does not look at `email_verified`."""
        profile = await self.get_profile(token)
        return str(profile["sub"]), profile.get("email") if profile.get("email_verified") is True else None

    # --- end


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    # --- linking
    user_db: UserDatabase

    def __init__(self, user_db: UserDatabase, xwms: XWMS) -> None:
        super().__init__(user_db)
        self.xwms = xwms

    async def oauth_callback(
        self, oauth_name: str, access_token: str, account_id: str, account_email: str, *args: Any, **options: Any
    ) -> User:
        given = (oauth_name, access_token, account_id, account_email, *args)
        try:
            user = await super().oauth_callback(*given, **options)
        except (IntegrityError, UserAlreadyExists):
            # Another request of the same person was faster, unless the address is another user's.
            await self.user_db.session.rollback()
            user = await super().oauth_callback(*given, **options)
        return await self.update_profile(user, await self.xwms.get_profile(access_token), account_email)

    async def update_profile(self, user: User, profile: dict[str, Any], email: str) -> User:
        changes = {"name": profile.get("name") or user.name}
        if await self.user_db.get_by_email(email) is None:  # addresses are unique
            changes["email"] = email
        return await self.user_db.update(user, changes)

    # --- end


def create_app(engine: AsyncEngine, xwms: XWMS, secret: str) -> FastAPI:
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    async def get_user_db(session: Annotated[AsyncSession, Depends(get_session)]) -> AsyncIterator[UserDatabase]:
        # --- linking
        yield UserDatabase(session, User, OAuthAccount)
        # --- end

    async def get_user_manager(user_db: Annotated[UserDatabase, Depends(get_user_db)]) -> AsyncIterator[UserManager]:
        # --- linking
        yield UserManager(user_db, xwms)
        # --- end

    def get_strategy() -> JWTStrategy[User, uuid.UUID]:
        return JWTStrategy(secret, lifetime_seconds=3600)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    backend = AuthenticationBackend(name="cookie", transport=CookieTransport(), get_strategy=get_strategy)
    users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])
    app = FastAPI(lifespan=lifespan)
    app.include_router(users.get_oauth_router(xwms, backend, secret), prefix="/auth/xwms")
    # --- linking
    CurrentUser = Annotated[User, Depends(users.current_user(active=True))]  # noqa: N806  it is a type
    # --- end

    @app.get("/account")
    async def account(user: CurrentUser) -> str:
        return f"{user.id} {user.name}"

    return app
