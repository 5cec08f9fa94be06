"""Flask with the login alone: the application finds out by itself which of its members a person is."""

from flask import Flask, abort, g
from sqlalchemy import Engine, ForeignKey, String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from xwms_auth import User, XWMSConfig
from xwms_auth.flask import XWMSAuth, require_user


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


# --- linking
class MemberIdentity(Base):
    __tablename__ = "member_identities"

    # The primary key: of two first requests of one person at once, one creates the member.
    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    sub: Mapped[str] = mapped_column(String(255), primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"), index=True)


# --- end


def create_app(engine: Engine, config: XWMSConfig | None = None) -> Flask:
    app = Flask(__name__)
    db = scoped_session(sessionmaker(engine))
    XWMSAuth(app, config)
    Base.metadata.create_all(engine)

    @app.teardown_appcontext
    def close_session(_error: BaseException | None) -> None:
        db.remove()

    # --- linking
    def find(user: User) -> Member | None:
        issuer, sub = user.identity
        of_person = (MemberIdentity.issuer == issuer, MemberIdentity.sub == sub)
        return db.scalar(select(Member).join(MemberIdentity).where(*of_person))

    def create(user: User) -> Member | None:
        issuer, sub = user.identity
        member = Member()
        db.add(member)
        try:
            db.flush()
            db.add(MemberIdentity(issuer=issuer, sub=sub, member_id=member.id))
            db.commit()
        except IntegrityError:
            db.rollback()  # another request of the same person was faster
            return find(user)
        return member

    def update(member: Member, user: User) -> None:
        member.name = user.display_name
        member.email = user.verified_email or member.email
        db.commit()  # no statement is sent if nothing has changed

    def current_member() -> Member:
        if "member" not in g:
            user = require_user()
            member = find(user) or create(user)
            if member is None or member.blocked:
                abort(403)
            update(member, user)
            g.member = member
        return g.member

    # --- end

    @app.get("/account")
    def account() -> str:
        member = current_member()
        return f"{member.id} {member.name}"

    return app
