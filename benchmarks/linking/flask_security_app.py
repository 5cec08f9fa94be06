"""Flask-Security with its OAuth login. Needs `flask-security[fsqla] authlib requests`.

By itself it logs in users that exist, found by the one attribute that the provider's callback returns.
"""

from typing import Any

from authlib.integrations.flask_client import OAuth
from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, auth_required, current_user, uia_email_mapper
from flask_security.models import fsqla_v3
from flask_security.oauth_provider import FsOAuthProvider
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

db = SQLAlchemy()
fsqla_v3.FsModels.set_db_info(db)


class Role(db.Model, fsqla_v3.FsRoleMixin):
    pass


class User(db.Model, fsqla_v3.FsUserMixin):
    name: Mapped[str | None] = mapped_column(String(200))
    # --- linking
    # Of the one issuer that is registered. Unique: of two first logins of one person at once, one creates the user.
    xwms_sub: Mapped[str | None] = mapped_column(String(255), unique=True)
    # --- end


datastore = SQLAlchemyUserDatastore(db, User, Role)


class XWMSProvider(FsOAuthProvider):
    def fetch_identity_cb(self, oauth: OAuth, token: dict[str, Any]) -> tuple[str, str]:
        # --- linking
        profile = token["userinfo"]
        address = uia_email_mapper(profile.get("email")) if profile.get("email_verified") is True else None
        user = datastore.find_user(xwms_sub=profile["sub"])
        is_free = address is not None and datastore.find_user(case_insensitive=True, email=address) is None
        if user is None and is_free:  # without an address there can be no user
            user = datastore.create_user(xwms_sub=profile["sub"], email=address)
        if user is not None:
            user.name = profile.get("name") or user.name
            user.email = address if is_free else user.email
            self.save()
        return "xwms_sub", profile["sub"]

    @staticmethod
    def save() -> None:
        try:
            datastore.commit()
        except IntegrityError:
            db.session.rollback()  # another request of the same person was faster; its user is looked up next

    # --- end


def create_app(database: str, xwms: dict[str, Any], secret: str) -> Flask:
    app = Flask(__name__)
    app.config |= {
        "SECRET_KEY": secret,
        "SQLALCHEMY_DATABASE_URI": database,
        "SECURITY_PASSWORD_SALT": secret,
        "SECURITY_OAUTH_ENABLE": True,
        # --- linking
        "SECURITY_USER_IDENTITY_ATTRIBUTES": [
            {"email": {"mapper": uia_email_mapper, "case_insensitive": True}},
            {"xwms_sub": {"mapper": str}},
        ],
        # --- end
    }
    db.init_app(app)
    security = Security(app, datastore)
    security.oauthglue.register_provider_ext(XWMSProvider("xwms", xwms))
    with app.app_context():
        db.create_all()

    @app.get("/account")
    @auth_required()
    def account() -> str:
        return f"{current_user.id} {current_user.name}"

    return app
