"""The models of which docs/sessions.md speaks."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass
