"""The package's own pages: an error, the confirmations, and one that leads on.

XSS: `fill` is the only way to make HTML, and it escapes every ``str`` it is given. Only `Html`, which is made from our
own files alone, is inserted unchanged. Each page has its own Content-Security-Policy, and only the page that leads on
to XWMS links to another origin.
"""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Final, Literal

from ..base.dataclass import dataclass
from ..base.texts.page_content import Html, PageContent, PageName
from ..base.texts.sentences import DEFAULT_LANGUAGE, Texts
from .presentation import Presentation, in_english

_TEMPLATES: Final = Path(__file__).with_name("templates")

# One slash, then visible ASCII without a backslash: browsers treat `//`, `/\` and `/<tab>/` as the start of a host.
_OWN_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*")

# A scheme, a host (or `*.` and a host) and a port (or `*`): anything more could inject another CSP directive.
_NAMED_ORIGIN: Final = re.compile(r"https?://(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::(?:[0-9]{1,5}|\*))?")
_ABSOLUTE_URL: Final = re.compile(r"https?://[!-~]+")
_IPV6_ORIGIN: Final = re.compile(r"(https?:)//\[[0-9a-f:.]+\](?::(?:[0-9]{1,5}|\*))?")


MAX_SHOWN_SUB: Final = 40
"""Characters of a `sub` that a page shows."""


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML document, and what the headers must say that it is sent with.

    ``varies`` is whether the visitor's browser has chosen the language.
    """

    html: str
    content_security_policy: str
    language: str = DEFAULT_LANGUAGE
    varies: bool = False


_ACTION: Final = Template('<a class="button" href="$url">$label</a>')
# Turbo, Unpoly and HTMX would fetch a form, and no script may follow the redirect to XWMS.
LEFT_ALONE: Final = 'data-turbo="false" up-submit="false" hx-boost="false"'
_TURBO_RELOAD: Final = Html('<meta name="turbo-visit-control" content="reload">')
_FORM: Final = Template(
    f'\n<form class="actions" method="post" action="$url" {LEFT_ALONE}>'
    '<input type="hidden" name="xwms_csrf_token" value="$csrf_token">'
    '<button class="button" type="submit">$label</button>'
    "</form>"
)
_PERSON: Final = Template(
    '<p class="notice"><strong><bdi>$name</bdi></strong><br>$email<br>'
    '<span class="muted small">$account <bdi dir="ltr">$sub</bdi></span></p>'
)
_REFRESH: Final = Template('<meta http-equiv="refresh" content="0;url=$url">')
_NOTE: Final = Template('<p class="notice">$text</p>')
_HOME: Final = Template(' <a href="$home_url">$home_label</a>')
_HINT: Final = Template("<li>$text</li>")
_TEXT: Final = Template("$text")
_CODE: Final = Template("<code>$text</code>")
_EMAIL: Final = Template('<bdi class="muted" dir="ltr">$text</bdi>')
_NO_EMAIL: Final = Template('<bdi class="muted">$text</bdi>')
_LOGO: Final = Template('<img class="logo" src="$url" alt="">')
_METAS: Final = Template('<meta name="robots" content="noindex">\n<meta name="referrer" content="$referrer">\n')
_STYLE: Final = Template("<style>$style</style>")
_SITE: Final = Template('<p class="site muted small">$logo<span dir="auto">$name</span></p>\n')


def error_page(
    *,
    title: str,
    detail: str,
    code: str,
    action_url: str | None,
    action_label: str,
    home_url: str,
    form_token: str | None = None,
    in_frame: bool = False,
    hints: Sequence[str] = (),
    look: Presentation | None = None,
) -> Page:
    """Return the error page: what went wrong and what to do next; without ``action_url`` only the link home.

    With a ``form_token``, which may be empty, the action is a form with that ``xwms_csrf_token`` instead of a link:
    most service workers pass on what is fetched, and leave what is posted to the browser. ``in_frame`` has Turbo show
    the page as a whole instead of in its frame.

    The URLs must be paths on this origin (``/xwms/auth?next=%2Fp``), otherwise ``ValueError`` is raised.
    ``hints`` are sentences for the developer, shown in a separate box; text between backticks is rendered as code.
    Without hints the page has no trace of the box.
    """
    look = look or in_english()
    texts = look.texts.pages
    action, form = "", ""
    if action_url is not None and form_token is not None:
        form = fill(_FORM, url=own_path(action_url), csrf_token=form_token, label=action_label)
    elif action_url is not None:
        action = fill(_ACTION, url=own_path(action_url), label=action_label)
    body = fill(
        _template("error.html"),
        detail=detail,
        form=form,
        action=action,
        home_url=own_path(home_url),
        home_label=texts.home,
        code_label=texts.error_code,
        code=code,
    )
    # The URL of this page may hold a token, so no request from it may send a Referer.
    # Browsers check `form-action` at every redirect too, and the login leads to XWMS.
    form_action = ("'self'", "https:", "http:") if form else ("'none'",)
    head = _TURBO_RELOAD if in_frame else ""
    return _page(
        look,
        "error",
        title=title,
        body=body,
        head=head,
        referrer="no-referrer",
        form_action=form_action,
        hints=hints,
        code=code,
    )


def confirm_page(
    *,
    action_url: str,
    form_origins: Sequence[str],
    home_url: str | None = None,
    note: str | None = None,
    look: Presentation | None = None,
) -> Page:
    """Return the page that asks for confirmation before a login that another site began: a POST to ``action_url``.

    The URLs must be paths on this origin.
    ``form_origins`` are where that POST may redirect to, such as ``https://xwms.nl`` or ``https://*.xwms.nl``:
    browsers check ``form-action`` at every redirect.
    ``note`` is a sentence to show first, such as why the session has ended.
    ``home_url`` is a page that everybody may see; a link to one that needs a login would start the login.
    Any other URL or origin raises ``ValueError``.
    """
    look = look or in_english()
    texts = look.texts.pages
    body = fill(
        _template("confirm.html"),
        note=fill(_NOTE, text=note) if note else "",
        reason=texts.confirm_reason,
        action_url=own_path(action_url),
        continue_label=texts.confirm_continue,
        not_you=texts.confirm_not_you,
        home=fill(_HOME, home_url=own_path(home_url), home_label=texts.home) if home_url is not None else "",
    )
    # Under `no-referrer` browsers send `Origin: null` with a form, but the login checks for our origin (CSRF).
    form_action = ("'self'", *dict.fromkeys(_form_source(origin) for origin in form_origins))
    return _page(look, "confirm", title=texts.confirm_title, body=body, referrer="same-origin", form_action=form_action)


def person_page(
    *,
    name: str,
    email: str | None,
    sub: str,
    action_url: str,
    key: str,
    again_url: str,
    form_origins: Sequence[str] = (),
    home_url: str = "/",
    links: bool = False,
    look: Presentation | None = None,
) -> Page:
    """Return the page that asks whether the user is the one XWMS named: a POST of ``confirm=key`` to ``action_url``.

    With ``links`` it asks whether to connect that XWMS account with the account that the user is logged in to.

    The URLs must be paths on this origin. ``again_url`` starts another login. ``email`` must be an address that XWMS
    has verified: anybody can choose any name, and claim any address. ``form_origins`` are as in `confirm_page`.
    """
    look = look or in_english()
    texts = look.texts.pages
    body = fill(
        _template("person.html"),
        reason=texts.link_reason if links else texts.person_reason,
        person=_person(look.texts, name=name, email=email, sub=sub),
        action_url=own_path(action_url),
        key=key,
        continue_label=texts.link_continue if links else texts.person_continue,
        not_you=texts.person_not_you,
        again_url=own_path(again_url),
        again_label=texts.person_again,
        home_url=own_path(home_url),
        home_label=texts.home,
    )
    form_action = ("'self'", *map(_form_source, form_origins))
    title = texts.link_title if links else texts.person_title
    return _page(
        look, "link" if links else "person", title=title, body=body, referrer="same-origin", form_action=form_action
    )


def proof_page(
    *,
    name: str,
    email: str | None,
    sub: str,
    login_url: str,
    home_url: str = "/",
    as_other: bool = False,
    look: Presentation | None = None,
) -> Page:
    """Return the page for a person whose e-mail address an account has: they are to log in to it, at ``login_url``.

    The URLs must be paths on this origin, and ``email`` an address that XWMS has verified. With ``as_other`` somebody
    is logged in, to another account.
    """
    look = look or in_english()
    texts = look.texts.pages
    body = fill(
        _template("proof.html"),
        note=fill(_NOTE, text=texts.proof_as_other) if as_other else "",
        reason=texts.proof_reason,
        person=_person(look.texts, name=name, email=email, sub=sub),
        action=fill(_ACTION, url=own_path(login_url), label=texts.proof_continue),
        home_url=own_path(home_url),
        home_label=texts.home,
    )
    return _page(look, "proof", title=texts.proof_title, body=body, referrer="same-origin", form_action=("'none'",))


def _person(texts: Texts, *, name: str, email: str | None, sub: str) -> Html:
    return fill(
        _PERSON,
        name=name,
        email=fill(_EMAIL, text=email) if email else fill(_NO_EMAIL, text=texts.pages.person_no_email),
        account=texts.pages.person_account,
        sub=sub if len(sub) <= MAX_SHOWN_SUB else f"{sub[:MAX_SHOWN_SUB]}…",
    )


def leading_page(*, url: str, look: Presentation | None = None) -> Page:
    """Return the page that leads on to ``url`` by itself, an absolute http(s) URL; otherwise ``ValueError`` is raised.

    It stands in for a redirect where nothing tells whether the request comes from a frame: browsers show it in none,
    and then it leads nowhere. It needs no script, and replaces itself in the history as a redirect does.
    """
    look = look or in_english()
    texts = look.texts.pages
    if _ABSOLUTE_URL.fullmatch(url) is None:
        raise ValueError("not an absolute URL")
    body = fill(_ACTION, url=url, label=texts.leading_link)
    head = fill(_REFRESH, url=url)
    form_action = ("'none'",)
    return _page(
        look,
        "leading",
        title=texts.leading_title,
        body=body,
        head=head,
        referrer="no-referrer",
        form_action=form_action,
    )


def _page(
    look: Presentation,
    name: PageName,
    *,
    title: str,
    body: Html,
    referrer: str,
    form_action: Sequence[str],
    head: str | Html = "",
    hints: Sequence[str] = (),
    code: str | None = None,
) -> Page:
    texts = look.texts
    # The style of the developer box is added only together with the box.
    style = _read("pages.css") + (_read("developer.css") if hints else "")
    head = Html(fill(_METAS, referrer=referrer) + head)
    styled = fill(_STYLE, style=Html(style))
    developer = _developer_box(hints) if hints else Html("")
    own = look.own_document(
        PageContent(
            name=name,
            language=texts.language,
            direction=texts.direction,
            site_name=look.site_name,
            title=title,
            head=head,
            style=styled,
            body=_join("", [body, developer]),
            code=code,
            request=None,
        )
    )
    logo = fill(_LOGO, url=own_path(look.site_logo)) if look.site_logo else ""
    document = own or fill(
        _template("layout.html"),
        language=texts.language,
        direction=texts.direction,
        site=fill(_SITE, logo=logo, name=look.site_name) if look.site_name or logo else "",
        title=title,
        style=styled,
        head=head,
        body=body,
        developer=developer,
    )
    # XSS: no script anywhere, since the page may be at an address with a token. Other documents have their own styles.
    own_styles = "'self' " if own else ""
    policy = (
        "default-src 'none'",
        f"style-src {own_styles}'sha256-{_sha256(style)}'",
        *(("img-src 'self' data:", "font-src 'self'") if own else ("img-src 'self'",) if logo else ()),
        f"form-action {' '.join(form_action)}",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return Page(
        html=document,
        content_security_policy="; ".join(policy),
        language=texts.language,
        varies=look.varies,
    )


def _developer_box(hints: Sequence[str]) -> Html:
    items = _join("\n", [fill(_HINT, text=_with_code(sentence)) for sentence in hints])
    return fill(_template("developer.html"), items=items)


def _with_code(sentence: str) -> Html:
    """Return a sentence as HTML, with the text between backticks as code."""
    pieces = sentence.split("`")
    if len(pieces) % 2 == 0:
        pieces = [sentence]  # an unpaired backtick is an ordinary character
    return _join("", [fill(_CODE if number % 2 else _TEXT, text=piece) for number, piece in enumerate(pieces)])


def _join(separator: Literal["", "\n"], pieces: Sequence[Html]) -> Html:
    return Html(separator.join(pieces))


def fill(template: Template, /, **values: str | Html) -> Html:
    """Substitute and escape all values in one pass: a ``$name`` inside a value stays text."""
    safe = {name: value if isinstance(value, Html) else _escape(value) for name, value in values.items()}
    return Html(template.substitute(safe))


def _escape(value: str) -> str:
    # A lone surrogate cannot be encoded as UTF-8, and an error page that cannot be encoded would cause another error.
    return html.escape(value.encode("utf-8", "replace").decode("utf-8"), quote=True)


def own_path(url: str) -> str:
    """Return the URL, a path on this origin. Raises ValueError for any other."""
    if _OWN_PATH.fullmatch(url) is None:
        raise ValueError(f"not a path on this origin: {url!r}")
    return url


def _form_source(origin: str) -> str:
    """Return the CSP source for an origin; for an IPv6 address, which CSP cannot express, only the scheme."""
    if _NAMED_ORIGIN.fullmatch(origin):
        return origin
    if match := _IPV6_ORIGIN.fullmatch(origin):
        return match[1]
    raise ValueError(f"not an origin: {origin!r}")


@cache
def _read(name: str) -> str:
    # Text mode turns CRLF into LF, as an HTML parser does: the CSP hash is of what the browser sees.
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _template(name: str) -> Template:
    return Template(_read(name).strip())


@cache
def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
