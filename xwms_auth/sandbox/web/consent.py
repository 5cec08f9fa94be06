"""The sign-in page and the consent page, the same for sign-token and for OAuth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import Response, request
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db.schema import Client, Domain, Person
from xwms_auth.sandbox.domain import directory
from xwms_auth.sandbox.domain.person_forms import parse_somebody_else
from xwms_auth.sandbox.domain.problems import Invalid
from xwms_auth.sandbox.domain.urls import csp_source
from xwms_auth.sandbox.web.responses import Refusal, page

START_AGAIN: Final = "Go back to the app and start again there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The app that asks. `redirect_url` is where the browser returns to.

    `cancel_url` is the link to cancel; None if cancelling is a button of the form, which notifies the app.
    `login_hint` and `ui_locales` are what the app says about the person (OpenID Connect Core, section 3.1.2.1): the
    pages have one language, so the second is only shown.
    """

    client: Client
    domain: Domain
    redirect_url: str
    cancel_url: str | None
    login_hint: str = ""
    ui_locales: str = ""


def refuse_other_sites() -> None:
    """Cross-site request forgery: refuse a form that another site sent.

    The token in the page's path cannot be guessed, so another site cannot send a form to it. If a site has learned it,
    Fetch Metadata headers refuse its form. `same-site` is refused too, since every port of localhost is the same site.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Refusal(403, "This form can only be sent from the sign-in page.")


def ask_who(
    session: Session,
    asking: Asking,
    *,
    problems: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """The sign-in page, with the submitted values and the errors in them, by field, if any."""
    people, hint = directory.listed(session), asking.login_hint
    suggested = {person.sub for person in people if hint and hint in {person.sub, person.email}}
    return page(
        "sign_in.html",
        status=422 if problems else 200,
        form_target=csp_source(asking.redirect_url),
        domain=asking.domain.root_domain,
        client_name=asking.client.name,
        people=sorted(people, key=lambda person: person.sub not in suggested),
        suggested=suggested,
        ui_locales=asking.ui_locales,
        initials=directory.initials,
        cancel_url=asking.cancel_url,
        problems=problems or {},
        typed=typed or ({"email": hint} if "@" in hint and not suggested else {}),
    )


def chosen(session: Session, form: Mapping[str, str]) -> Person:
    """The person who was chosen or typed in. Raises `Invalid`."""
    sub = form.get("person")
    if sub is None:
        return directory.put(session, parse_somebody_else(form))
    person = directory.find(session, sub)
    if person is None:
        raise Invalid(person="That person is not on the list.")
    return person


def ask_consent(
    asking: Asking, person: Person, scopes: Mapping[str, str], form: Mapping[str, str], *, beside: str = ""
) -> Response:
    """The consent page. `scopes` maps each scope to its description; `beside` is what is shared without a scope."""
    kept = ("person",) if "person" in form else ("sub", "name", "email", "email_verified")
    return page(
        "consent.html",
        form_target=csp_source(asking.redirect_url),
        domain=asking.domain.root_domain,
        client_name=asking.client.name,
        person=person,
        return_host=urlsplit(asking.redirect_url).netloc,
        again=request.path,  # read again, it is the sign-in page
        chosen={name: form[name] for name in kept if name in form},
        beside=beside,
        scopes=scopes,
        cancel_url=asking.cancel_url,
    )
