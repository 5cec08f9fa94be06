"""The parameters of an authentication request that a login may have (OpenID Connect Core 3.1.2.1), strictly checked.

They are hints: a server may follow them or not. What a page requires of a login is in `login_requirement.py`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Final, Self, TypedDict, Unpack, cast

from ..base.dataclass import dataclass
from ..base.texts.sentences import language_of

MAX_HINT = 254
"""Bytes of a `login_hint` in UTF-8: the longest e-mail address (RFC 5321 4.5.3.1.3)."""

MAX_VALUES = 10
"""Most values in a list, such as languages."""

MAX_ACR = 300
"""Characters of all `acr_values` together."""

PROMPTS: Final = ("none", "login", "consent", "select_account")

NEEDS_PERSON: Final = (
    "login_required",
    "consent_required",
    "interaction_required",
    "account_selection_required",
)
"""The errors with which a server refuses `prompt=none` (OpenID Connect Core 3.1.2.6)."""

_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,8}")
_ACR: Final = re.compile(r"[!#-\[\]-~]+")


class LoginParamArgs(TypedDict, total=False):
    """The parameters as keyword arguments; a list is text with single spaces in it, or a sequence."""

    ui_locales: str | Sequence[str]
    prompt: str | Sequence[str]
    login_hint: str
    acr_values: str | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginParams:
    """The parameters of one login, each empty if it is not set."""

    ui_locales: str = ""
    prompt: str = ""
    login_hint: str = field(default="", repr=False)
    acr_values: str = ""

    @classmethod
    def of(cls, **args: Unpack[LoginParamArgs]) -> Self:
        """Parse the arguments of the application. Raises ValueError, which never quotes a value, and TypeError."""
        given: dict[str, object] = dict(args)
        if unknown := sorted(given.keys() - set(PARAMS)):
            raise TypeError(f"a login has no parameter called {', '.join(unknown)}")
        texts = {name: value if isinstance(value, str) else _joined(value) for name, value in given.items()}
        for name, text in texts.items():
            if text and not _IS_VALID[name](text):
                raise ValueError(f"{name} is not as OpenID Connect Core 3.1.2.1 has it; see docs/login-parameters.md")
        return cls(**texts)

    @classmethod
    def read(cls, values_of: Callable[[str], Sequence[object]], names: Sequence[str]) -> Self:
        """Read those with one of these names. What is repeated or malformed counts as absent."""
        found: dict[str, str] = {}
        for name in names:
            values = values_of(name)
            if len(values) == 1 and isinstance(value := values[0], str) and value and _IS_VALID[name](value):
                found[name] = value
        return cls(**found)

    def pairs(self) -> dict[str, str]:
        """Those that are set."""
        return {name: value for name in PARAMS if (value := getattr(self, name))}

    def over(self, others: "LoginParams") -> "LoginParams":
        """These, and of the others those that are not set here."""
        return LoginParams(**{**others.pairs(), **self.pairs()})

    def only(self, names: Sequence[str]) -> "LoginParams":
        """Those with one of these names."""
        return LoginParams(**{name: value for name, value in self.pairs().items() if name in names})

    @property
    def is_silent(self) -> bool:
        """Whether the server may show nothing to the person (`prompt=none`)."""
        return self.prompt == "none"

    @property
    def asks_again(self) -> bool:
        """Whether the server is to ask the person something although they may be signed in."""
        return self.prompt not in ("", "none")

    @property
    def language(self) -> str | None:
        """The first of `ui_locales` that is one of our languages."""
        return next(filter(None, map(language_of, self.ui_locales.split())), None)


NO_PARAMS: Final = LoginParams()

PARAMS: Final = ("ui_locales", "prompt", "login_hint", "acr_values")


def _joined(value: object) -> str:
    values: Sequence[object] = cast("Sequence[object]", value) if isinstance(value, Sequence) else (value,)
    if not all(isinstance(one, str) for one in values):
        raise TypeError("a parameter of a login is neither text nor a sequence of texts")
    return " ".join(map(str, values))


def _are_languages(text: str) -> bool:
    tags = text.split(" ")
    return len(tags) <= MAX_VALUES and all(map(_LANGUAGE.fullmatch, tags))


def _is_prompt(text: str) -> bool:
    prompts = text.split(" ")
    if not set(prompts) <= set(PROMPTS) or len(set(prompts)) < len(prompts):
        return False
    return "none" not in prompts or len(prompts) == 1


def _is_hint(text: str) -> bool:
    # Surrogates are not printable, and neither is any control character.
    return text.isprintable() and len(text.encode()) <= MAX_HINT


def _are_acrs(text: str) -> bool:
    values = text.split(" ")
    return len(text) <= MAX_ACR and len(values) <= MAX_VALUES and all(map(_ACR.fullmatch, values))


_IS_VALID: Final[dict[str, Callable[[str], bool]]] = {
    "ui_locales": _are_languages,
    "prompt": _is_prompt,
    "login_hint": _is_hint,
    "acr_values": _are_acrs,
}
