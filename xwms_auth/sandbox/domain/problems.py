"""What was typed or asked and cannot be done: sentences for the one who typed, by field.

Knows: nothing but the fields' names.
Must not: quote a secret.
"""


class Invalid(ValueError):
    """`problems` maps a field to a sentence; the field "" stands for the whole form."""

    def __init__(self, **problems: str) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


class Missing(LookupError):
    """There is no such thing, or it belongs to somebody else: nobody is told which."""


def label(value: str, field: str, *, what: str, longest: int = 100) -> str:
    """A name that a person typed: one line, trimmed. Raises `Invalid` for an empty, long or unprintable one."""
    name = " ".join(value.split())
    if not name:
        raise Invalid(**{field: f"Please give {what}."})
    if len(name) > longest or not name.isprintable():
        raise Invalid(**{field: f"Please give {what} of at most {longest} printable characters."})
    return name


def email(value: str, field: str) -> str:
    """An e-mail address as it was typed, in lower case. Raises `Invalid`."""
    address = value.strip().lower()
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or len(address) > 254 or not address.isprintable() or " " in address:
        raise Invalid(**{field: "That is not an e-mail address."})
    return address
