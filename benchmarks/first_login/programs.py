"""The programs of this folder, and what their developers type."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of this folder, and what its developer types."""

    folder: str
    what: str
    packages: tuple[str, ...]
    run: str
    logout: str
    settings: tuple[str, ...] = ()
    """Variables that the developer sets before the first start."""
    callback: str = ""
    test_packages: tuple[str, ...] = ("pytest",)
    tested: str = "no: the session is written by the test"
    """Whether the test goes through the login."""

    @property
    def is_ours(self) -> bool:
        return self.folder.startswith("xwms")

    @property
    def commands(self) -> tuple[str, str]:
        """From nothing to a login."""
        packages = " ".join(f"'{name}'" if "[" in name else name for name in self.packages)
        return f"pip install {packages}", self.run


OURS = "yes, all of it"
PROGRAMS = (
    Program(
        folder="xwms_flask",
        what="xwms-auth, Flask",
        packages=("xwms-auth[flask,cli,sandbox]",),
        run="xwms-auth dev app:app",
        logout="/xwms/logout",
        tested=OURS,
    ),
    Program(
        folder="xwms_fastapi",
        what="xwms-auth, FastAPI",
        packages=("xwms-auth[fastapi,cli,sandbox]",),
        run="xwms-auth dev app:app",
        logout="/xwms/logout",
        tested=OURS,
    ),
    Program(
        folder="xwms_starlette",
        what="xwms-auth, Starlette",
        packages=("xwms-auth[starlette,cli,sandbox]",),
        run="xwms-auth dev app:app",
        logout="/xwms/logout",
        tested=OURS,
    ),
    Program(
        folder="authlib_flask",
        what="Authlib, Flask",
        packages=("authlib", "flask", "requests"),
        run="flask run",
        logout="/logout",
        settings=(
            "FLASK_SECRET_KEY",
            "FLASK_XWMS_CLIENT_ID",
            "FLASK_XWMS_CLIENT_SECRET",
            "FLASK_XWMS_METADATA_URL",
        ),
        callback="/callback",
    ),
    Program(
        folder="authlib_fastapi",
        what="Authlib, FastAPI",
        packages=("authlib", "fastapi", "httpx", "itsdangerous", "uvicorn"),
        run="uvicorn app:app",
        logout="/logout",
        settings=("SECRET_KEY", "XWMS_CLIENT_ID", "XWMS_CLIENT_SECRET", "XWMS_METADATA_URL"),
        callback="/callback",
        tested="no: the dependency is replaced",
    ),
    Program(
        folder="flask_dance",
        what="Flask-Dance",
        packages=("flask-dance",),
        run="flask run",
        logout="/logout",
        settings=(
            "FLASK_SECRET_KEY",
            "FLASK_XWMS_CLIENT_ID",
            "FLASK_XWMS_CLIENT_SECRET",
            "FLASK_XWMS_URL",
            "OAUTHLIB_INSECURE_TRANSPORT",
        ),
        callback="/login/xwms/authorized",
        test_packages=("pytest", "responses"),
        tested="no: the token and the call are replaced",
    ),
    Program(
        folder="flask_login",
        what="Flask-Login, own passwords",
        packages=("flask-login",),
        run="flask run",
        logout="/logout",
        settings=("FLASK_SECRET_KEY",),
        tested="no: its test client writes the session",
    ),
    Program(
        folder="fastapi_users",
        what="fastapi-users, own passwords",
        packages=("fastapi-users[sqlalchemy]", "aiosqlite", "uvicorn"),
        run="uvicorn app:app",
        logout="/auth/logout",
        settings=("SECRET_KEY",),
        test_packages=("pytest", "httpx"),
        tested="no: the dependency is replaced",
    ),
)
