"""A person at the dashboard of a local XWMS: opens pages, reads them, fills in their forms and sends them.

Each `Office` is a browser of its own, without JavaScript. Paths are those below /dashboard, such as `/clients/new`.

Knows: how a browser reads a form, and the first steps of everybody: register, plan, client.
Must not: look behind the pages, or assert what a test is about.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from werkzeug.test import TestResponse

from tests.sandbox.local_xwms import REDIRECT, LocalXWMS

Fields = dict[str, list[str]]


def words(answer: TestResponse) -> str:
    """What a person reads on a page: its text without tags, with single spaces."""
    return " ".join(_read(answer.text).words)


def notice(answer: TestResponse) -> str:
    """What the page says was done; empty where it says nothing."""
    return _read(answer.text).inside("notice")


def faults(answer: TestResponse) -> str:
    """What the page says is wrong with what was sent; empty where it says nothing."""
    return _read(answer.text).inside("problems")


def faults_at_fields(answer: TestResponse) -> dict[str, str]:
    """The fault that a program which reads the page aloud says at each field, by the field's id."""
    read = _read(answer.text)
    invalid = {field: ids for field, ids in read.described.items() if read.invalid[field]}
    return {
        field: " ".join(read.by_id[described] for described in ids if described.endswith("-fault"))
        for field, ids in invalid.items()
    }


def faults_led_to(answer: TestResponse) -> set[str]:
    """The fields that the list of faults leads to; all of them are on the page."""
    led_to = set(re.findall(r'<li><a href="#([^"]+)">', answer.text))
    assert all(f' id="{field}"' in answer.text for field in led_to)
    return led_to


def title(answer: TestResponse) -> str:
    """The page's title."""
    return html.unescape(answer.text.partition("<title>")[2].partition("</title>")[0])


def value_of(answer: TestResponse, element: str) -> str:
    """The text of a `<code>` with this id, such as `client-id`: what its copy button copies."""
    return _read(answer.text).codes[element]


@dataclass
class Form:
    """A form as it stands on a page. `fields` is what a browser would send; a disabled field is not among them.

    `buttons` maps a button's text to the name and value it sends, or to None where it sends nothing of its own.
    `choices` maps a select's or radio group's name to its labels and the value of each.
    """

    action: str
    fields: Fields = field(default_factory=dict)
    buttons: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    choices: dict[str, dict[str, str]] = field(default_factory=dict)


class Office:
    """One browser at the dashboard. `get`, `post` and `submit` follow redirects; `raw` does not."""

    def __init__(self, xwms: LocalXWMS) -> None:
        self.xwms = xwms
        self.http = xwms.app.test_client()

    def get(self, path: str = "") -> TestResponse:
        """The page at this path, or the one it leads to."""
        return self.http.get(f"/dashboard{path}", follow_redirects=True)

    def page_text(self, path: str = "") -> str:
        """What a person reads there; fails where there is no such page."""
        answer = self.get(path)
        assert answer.status_code == 200, f"{answer.status_code}: {words(answer)}"
        return words(answer)

    def token(self) -> str:
        """A CSRF token of this browser, from a page that is open to everybody."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/register").text)
        assert found
        return found[1]

    def post(self, path: str, **form: object) -> TestResponse:
        """Send these fields straight to a path, with a valid token: what a form has, or what nobody offered.

        A list is a field that is sent several times.
        """
        return self.raw(path, form=form, follow=True)

    def raw(
        self,
        path: str,
        *,
        form: Mapping[str, object],
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        follow: bool = False,
    ) -> TestResponse:
        """The same with these headers and this token; an empty `token` sends none."""
        proof = self.token() if token is None else token
        sent = ({"csrf_token": proof} if proof else {}) | dict(form)
        return self.http.post(f"/dashboard{path}", data=sent, headers=dict(headers or {}), follow_redirects=follow)

    def forms(self, path: str) -> list[Form]:
        """The forms of a page, without the one that signs out."""
        answer = self.get(path)
        assert answer.status_code == 200, f"{answer.status_code}: {words(answer)}"
        return [form for form in _read(answer.text).forms if not form.action.endswith("/leave")]

    def form(self, path: str, action: str = "") -> Form:
        """The first form of a page whose address ends with `action`."""
        found = [form for form in self.forms(path) if form.action.endswith(action)]
        assert found, f"no form for {action!r} at {path}"
        return found[0]

    def form_of(self, answer: TestResponse, action: str = "") -> Form:
        """The last form of this page whose address ends with `action`, as it stands there."""
        return [form for form in _read(answer.text).forms if form.action.endswith(action)][-1]

    def submit(self, path: str, action: str = "", button: str | None = None, **fields: object) -> TestResponse:
        """Fill in that form and send it by a button (where none is named, the first); the rest stays as it stands.

        A list is what is ticked; an empty one ticks nothing.
        """
        form = self.form(path, action)
        pressed = form.buttons[button if button is not None else next(iter(form.buttons))]
        sent: dict[str, object] = dict(form.fields)
        sent |= fields
        if pressed:
            sent[pressed[0]] = pressed[1]
        return self.http.post(form.action, data=sent, follow_redirects=True)

    def register(self, account: str = "Acme", name: str = "Ada", email: str = "ada@acme.example") -> TestResponse:
        """Make an account, and be its owner."""
        return self.submit("/register", "/register", account=account, name=name, email=email)

    def activate_plan(self) -> TestResponse:
        """Activate the plan of the account."""
        return self.submit("/plan", "/plan")

    def create_client(
        self, name: str = "Shop", domain: str = "localhost", redirect_uri: str = REDIRECT
    ) -> tuple[int, str, str]:
        """Make a client; the number in its address, its client ID and its secret."""
        answer = self.submit("/clients/new", "/clients/new", name=name, domain=domain, redirect_uri=redirect_uri)
        assert answer.status_code == 200, faults(answer)
        link = re.search(r'href="/dashboard/clients/(\d+)">I have copied it', answer.text)
        assert link, words(answer)
        return int(link[1]), value_of(answer, "client-id"), value_of(answer, "client-secret")

    def enter(self, member_name: str) -> TestResponse:
        """Leave, and go on as the member with this name."""
        self.leave()
        buttons = self.form("", "/enter").buttons
        named = [text for text in buttons if re.search(rf"\b{re.escape(member_name)}\b", text)]
        assert len(named) == 1, f"{member_name!r} among {list(buttons)}"
        return self.submit("", "/enter", button=named[0])

    def leave(self) -> TestResponse:
        """Sign out, where somebody is signed in."""
        return self.post("/leave")

    def add_member(self, name: str, role: str, email: str = "") -> TestResponse:
        """Add a member with the role of this name."""
        chosen = self.form("/members", "/members").choices["role"][role]
        address = email or f"{name.lower()}@acme.example"
        return self.submit("/members", "/members", name=name, email=address, role=chosen)


def _read(page: str) -> "_Reader":
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader


_VOID = {"meta", "link", "img", "input", "br", "hr"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.words: list[str] = []
        self.codes: dict[str, str] = {}
        self.by_id: dict[str, str] = {}
        self.described: dict[str, list[str]] = {}
        self.invalid: dict[str, bool] = {}
        self._by_class: list[tuple[str, str]] = []
        self._open: list[tuple[str, dict[str, str]]] = []
        self._form: Form | None = None
        self._select = ""
        self._text: list[str] = []
        self._radio: tuple[str, str] | None = None

    def inside(self, css_class: str) -> str:
        return " ".join(text for known, text in self._by_class if css_class in known.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self._open.append((tag, values))
        if "aria-describedby" in values and "id" in values:
            self.described[values["id"]] = values["aria-describedby"].split()
            self.invalid[values["id"]] = values.get("aria-invalid") == "true"
        off = "disabled" in values or any(kind == "fieldset" and "disabled" in known for kind, known in self._open)
        if tag == "form":
            self._form = Form(action=values.get("action", ""))
            self.forms.append(self._form)
        elif self._form and tag == "input":
            self._input(self._form, values, off=off)
        elif self._form and tag == "select" and not off:
            self._select = values["name"]
        if tag in {"textarea", "option", "button", "label", "code"}:
            self._text = []

    def handle_endtag(self, tag: str) -> None:
        values: dict[str, str] = {}
        while self._open:
            closed, values = self._open.pop()
            if closed == tag:
                break
        text = "".join(self._text)
        said = " ".join(text.split())
        if tag == "code" and "id" in values:
            self.codes[values["id"]] = text
        if self._form is None:
            return
        off = any(kind == "fieldset" and "disabled" in known for kind, known in self._open)
        if tag == "form":
            self._form = None
        elif tag == "textarea" and not off:
            self._form.fields[values["name"]] = [text.removeprefix("\n")]
        elif tag == "button" and not off and values.get("type") != "button":
            sends = (values["name"], values.get("value", "")) if "name" in values else None
            self._form.buttons[said] = sends
        elif tag == "label" and self._radio:
            self._form.choices.setdefault(self._radio[0], {})[said] = self._radio[1]
            self._radio = None
        elif tag == "option" and self._select:
            value = values.get("value", said)
            if "selected" in values or self._select not in self._form.fields:
                self._form.fields[self._select] = [value]
            self._form.choices.setdefault(self._select, {})[said] = value
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        self._text.append(data)
        if any(tag in {"script", "style", "title"} for tag, _ in self._open):
            return
        if said := " ".join(data.split()):
            self.words.append(said)
            for _, values in self._open:
                if "class" in values:
                    self._by_class.append((values["class"], said))
                if "id" in values:
                    self.by_id[values["id"]] = f"{self.by_id.get(values['id'], '')} {said}".strip()

    def _input(self, form: Form, values: dict[str, str], *, off: bool) -> None:
        if off or "name" not in values:
            return
        kind, name, value = values.get("type", "text"), values["name"], values.get("value", "")
        if kind == "radio":
            self._radio = (name, value)
        if kind in {"checkbox", "radio"} and "checked" not in values:
            return
        form.fields.setdefault(name, []).append(value or ("on" if kind in {"checkbox", "radio"} else ""))
