"""What visitors read, in ten languages: a file for each in `languages/`.

No file is read before a text of it is shown. Programs get the English sentences of the classes instead.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal

from ..dataclass import dataclass
from ..errors import XWMSError

DEFAULT_LANGUAGE: Final = "en"

LANGUAGES: Final = ("nl", DEFAULT_LANGUAGE, "ar", "bn", "de", "es", "id", "pt", "ru", "zh")
"""The languages of XWMS, by their tags (RFC 5646)."""

# Java, and so Android, used to write `in` for Indonesian, and browsers in old apps still do.
_OLD_TAGS: Final = {"in": "id"}

_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins in the name of a class, but for the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTexts:
    """The fixed texts of the pages."""

    home: str
    error_code: str
    log_in: str
    try_again: str
    log_out: str
    confirm_title: str
    confirm_reason: str
    confirm_continue: str
    confirm_not_you: str
    person_title: str
    person_reason: str
    person_no_email: str
    person_account: str
    person_continue: str
    person_not_you: str
    person_again: str
    link_title: str
    link_reason: str
    link_continue: str
    proof_title: str
    proof_reason: str
    proof_as_other: str
    proof_continue: str
    leading_title: str
    leading_link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonTexts:
    """The labels of the buttons for an application's templates."""

    login: str
    link: str
    logout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """All texts in one language. `reviewed` is whether a native reader has seen them."""

    language: str
    direction: Literal["ltr", "rtl"]
    reviewed: bool
    pages: PageTexts
    buttons: ButtonTexts
    signed_out: Mapping[str, str]
    """A sentence for each `EndReason`, by its value."""

    errors: Mapping[str, Mapping[str, str]]
    """The `title` and the `detail` of each class of errors that has its own, by `key_of` the class."""

    def title_of(self, error: XWMSError) -> str:
        """The title of an error. One of the application's own stays as it is."""
        return self._text_of(error, "title")

    def detail_of(self, error: XWMSError) -> str:
        """The sentence about an error. One of the application's own stays as it is."""
        return self._text_of(error, "detail")

    def _text_of(self, error: XWMSError, name: Literal["title", "detail"]) -> str:
        own: str = getattr(error, name)
        # The class that has the text, not that of the error: a class without its own text has that of its base.
        owner = next(cls for cls in type(error).__mro__ if name in vars(cls))
        if name in vars(error) or owner.__module__.partition(".")[0] != __name__.partition(".")[0]:
            return own
        return self.errors.get(key_of(owner), {}).get(name, own)


def key_of(error: type[XWMSError]) -> str:
    """The key of a class of errors in the files: its name, as `login_expired` for `LoginExpired`.

    Not its code: several classes share one, such as `not_allowed`, and say different things.
    """
    return _WORD.sub("_", error.__name__).lower()


def language_of(tag: str) -> str | None:
    """The language of a tag such as `pt-BR`, `zh_Hant` or `NL`; None if it is none of ours."""
    primary = tag.replace("_", "-").partition("-")[0].lower()
    primary = _OLD_TAGS.get(primary, primary)
    return primary if primary in LANGUAGES else None


@cache
def texts_in(language: str) -> Texts:
    """The texts in one of `LANGUAGES`, read at the first call. Raises ValueError for any other."""
    if language not in LANGUAGES:
        raise ValueError("not one of the languages")
    # Few processes show a page before their first request has been served.
    import tomllib  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    data = tomllib.loads(Path(__file__).with_name("languages").joinpath(f"{language}.toml").read_text(encoding="utf-8"))
    return Texts(
        language=language,
        direction=data["direction"],
        reviewed=data["reviewed"],
        pages=PageTexts(**data["pages"]),
        buttons=ButtonTexts(**data["buttons"]),
        signed_out=data["signed_out"],
        errors=data["errors"],
    )
