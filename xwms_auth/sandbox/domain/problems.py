"""Errors in what a user entered or requested: a sentence for each field. They never quote a secret."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class Invalid(ValueError):
    """`problems` maps a field to a sentence; the field "" stands for the whole form."""

    def __init__(self, **problems: str) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


class Missing(LookupError):
    """The object does not exist, or belongs to somebody else; the response is the same for both."""


@overload
def all_valid(first: Callable[[], A], second: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def all_valid(first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /) -> tuple[A, B, C]: ...
@overload
def all_valid(*fields: Callable[[], A]) -> tuple[A, ...]: ...
def all_valid(*fields: Callable[[], object]) -> tuple[object, ...]:
    """The values of all fields. Raises one `Invalid` with the errors of all of them, in their order."""
    values: list[object] = []
    problems: dict[str, str] = {}
    for field in fields:
        try:
            values.append(field())
        except Invalid as error:
            problems |= error.problems
    if problems:
        raise Invalid(**problems)
    return tuple(values)


@contextmanager
def as_field(name: str) -> Generator[None]:
    """Errors within the block are of this field, where a page has several of the same kind."""
    try:
        yield
    except Invalid as error:
        raise Invalid(**{name: str(error)}) from None


def label(value: str, field: str, *, what: str, longest: int = 100) -> str:
    """A name from a form: one line, trimmed. Raises `Invalid` for an empty, long or unprintable one."""
    name = " ".join(value.split())
    if not name:
        raise Invalid(**{field: f"Please give {what}."})
    if len(name) > longest or not name.isprintable():
        raise Invalid(**{field: f"Please give {what} of at most {longest} printable characters."})
    return name


def email(value: str, field: str) -> str:
    """An e-mail address from a form, in lower case. Raises `Invalid`."""
    address = value.strip().lower()
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or len(address) > 254 or not address.isprintable() or " " in address:
        raise Invalid(**{field: "That is not an e-mail address."})
    return address
