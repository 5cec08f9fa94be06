"""Flask with a linker: the login finds or creates the member, and a view gets it from `auth.account()`."""

from flask import Flask
from sqlalchemy import Engine, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from xwms_auth import XWMSConfig
from xwms_auth.accounts import SQLAlchemyLinker
from xwms_auth.flask import XWMSAuth


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


def create_app(engine: Engine, config: XWMSConfig | None = None) -> Flask:
    app = Flask(__name__)
    db = scoped_session(sessionmaker(engine))
    # --- linking
    fields = {"name": "display_name", "email": "verified_email"}
    members = SQLAlchemyLinker(Member, db, fields=fields, blocked="blocked")
    auth = XWMSAuth(app, config, linker=members)
    # --- end
    Base.metadata.create_all(engine)

    @app.teardown_appcontext
    def close_session(_error: BaseException | None) -> None:
        db.remove()

    @app.get("/account")
    def account() -> str:
        member = auth.account()
        return f"{member.id} {member.name}"

    return app
