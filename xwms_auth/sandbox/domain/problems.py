"""Errors in what a user entered or requested: a sentence for each field. They never quote a secret."""


class Invalid(ValueError):
    """`problems` maps a field to a sentence; the field "" stands for the whole form."""

    def __init__(self, **problems: str) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


class Missing(LookupError):
    """The object does not exist, or belongs to somebody else; the response is the same for both."""


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
