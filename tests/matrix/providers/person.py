"""A person at a provider: follows its redirects and fills in its forms until the application has the browser again."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2

_MOST = 20
# What a person who wants to go on does not press.
_AWAY = re.compile(r"\b(no|deny|cancel|abort|decline|refuse|switch|stay|forgot\w*|locale|theme)\b", re.I)
_BROWSER = {"Accept": "text/html,*/*;q=0.8"}


class Stuck(Exception):
    """The provider does not lead back; the text is one line that says where it ended."""


@dataclass
class Form:
    """A form as a browser sees it; `buttons` are (name, value, text)."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._ids: dict[str, Form] = {}
        self._inside: Form | None = None
        self._pressed: Form | None = None
        self._button: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = Form(given.get("action", ""), given.get("method", "get").lower())
            self.found.append(self._inside)
        self._ids |= {given["id"]: self._inside} if tag == "form" and self._inside and "id" in given else {}
        form = self._ids.get(given.get("form", ""), self._inside)
        if form is None or tag not in {"input", "button"}:
            return
        name, value, kind = given.get("name", ""), given.get("value", ""), given.get("type", "")
        if tag == "button" and kind in {"", "submit"}:
            self._pressed, self._button = form, [name, value, ""]
        elif kind in {"submit", "image"}:
            form.buttons.append((name, value, value))
        elif name and (kind not in {"checkbox", "radio"} or "checked" in given):
            form.values[name] = value

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button[2] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._button is not None and self._pressed is not None:
            name, value, text = self._button
            self._pressed.buttons.append((name, value, text.strip()))
            self._button = None
        if tag == "form":
            self._inside = None


def forms_of(page: str) -> list[Form]:
    parser = _Forms()
    parser.feed(page)
    return parser.found


def walk(
    http: httpx2.Client,
    location: str,
    *,
    until: str,
    answers: Mapping[str, str],
    detour: Callable[[httpx2.Client, str], str] = lambda http, location: "",
) -> str:
    """Go on from `location` until an address begins with `until`, and give it. Raises `Stuck`.

    `detour` gives another address to go on at, where a page of the provider is a program.
    """
    answer = http.get(location, headers=_BROWSER)
    for _ in range(_MOST):
        if answer.is_redirect:
            location = urljoin(str(answer.url), answer.headers["location"])
            if location.startswith(until):
                return location
            answer = http.get(detour(http, location) or location, headers=_BROWSER)
            continue
        answer = _fill_in(http, answer, answers)
    raise Stuck(f"no way back after {_MOST} steps, at {answer.url.copy_with(query=None)}")


def _fill_in(http: httpx2.Client, page: httpx2.Response, answers: Mapping[str, str]) -> httpx2.Response:
    for form in forms_of(page.text):
        button = next((found for found in form.buttons if not _AWAY.search(" ".join(found))), None)
        if button is None:
            continue
        values = {name: answers.get(name, value) for name, value in form.values.items()}
        values |= {button[0]: button[1]} if button[0] else {}
        target = urljoin(str(page.url), form.action)
        headers = {**_BROWSER, "Referer": str(page.url)}
        if form.method == "post":
            return http.post(target, data=values, headers=headers)
        return http.get(target, params=values, headers=headers)
    said = " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page.text, flags=re.S).split())[:120]
    raise Stuck(f"{page.status_code} at {page.url.copy_with(query=None)}: {said}")
