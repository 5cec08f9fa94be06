"""The parameters of a login in its URL: those that visitors may set in clear text, the application's own sealed.

Nobody but the application can make a sealed value, so that a link on another site sets no more than `login_params`
allows. It is encrypted because a hint about the person is personal data, and URLs are in access logs. It is bound to no
person and no page: whoever sees a page may use its link, also elsewhere, for `SEALED_LIFETIME`.
"""

from collections.abc import Sequence
from typing import Final, cast
from urllib.parse import urlsplit

from ..base.session import FUTURE_TOLERANCE
from ..config.context import Context
from ..http.login_params import NEEDS_PERSON, PARAMS, LoginParams
from ..http.messages import Request

_SEALED: Final = "params"
_PLACE: Final = "login-params"
_MADE_AT: Final = "made_at"

SEALED_LIFETIME: Final = 86_400
"""Seconds that sealed parameters count: a page may be open overnight, and a link that somebody has copied from one
sets nothing for good. After that the login goes on without them."""

OUTCOME: Final = "xwms_error"
"""The parameter of the page that a silent login comes back to without a person; its value is one of `NEEDS_PERSON`."""

_OUR_PAGES_ONLY: Final = ("ui_locales",)
"""What counts where the protocol knows none of the parameters."""

Pairs = Sequence[tuple[str, str]]


def login_query(context: Context, params: LoginParams) -> Pairs:
    """Return the parameters for the URL of a login, without those that the flow does not know."""
    known = params.only(_known(context)).pairs()
    visible = [name for name in context.config.login_params if name != "login_hint"]
    plain = [(name, known.pop(name)) for name in visible if name in known]
    if not known:
        return plain
    sealed = {**known, _MADE_AT: int(context.state.clock())}
    return [*plain, (_SEALED, context.login_sealer.seal_text(sealed, place=_PLACE))]


def read_params(context: Context, request: Request) -> LoginParams:
    """Return the parameters of a login that starts with this request. Those of the application come first."""
    known = _known(context)
    visitors = LoginParams.read(request.parameters, [name for name in context.config.login_params if name in known])
    sealed = request.parameters(_SEALED)
    opened: object = context.login_sealer.open_text(sealed[0], place=_PLACE) if len(sealed) == 1 else None
    if not isinstance(opened, dict):
        return visitors
    ours = cast("dict[str, object]", opened)
    age = context.state.clock() - made_at if isinstance(made_at := ours.get(_MADE_AT), int) else None
    if age is None or not -FUTURE_TOLERANCE <= age <= SEALED_LIFETIME:
        return visitors
    return LoginParams.read(lambda name: [ours[name]] if name in ours else [], known).over(visitors)


def for_start(context: Context, params: LoginParams, *, began_here: bool) -> LoginParams:
    """Return the parameters for a login that starts now.

    Phishing: somebody may take the sealed hint of their own page into a link for others, who would then find another
    person's account name on the sign-in page. So it counts only where the login began on this site.
    """
    if began_here or "login_hint" in context.config.login_params:
        return params
    return params.only([name for name in PARAMS if name != "login_hint"])


def _known(context: Context) -> Sequence[str]:
    return PARAMS if context.config.flow == "oauth2" else _OUR_PAGES_ONLY


def with_outcome(target: str, code: str) -> str:
    """Return the target of a silent login that found nobody, with the reason."""
    if code not in NEEDS_PERSON:
        raise ValueError("not an outcome of a silent login")
    url, mark, fragment = without_outcome(target).partition("#")
    return f"{url}{'&' if '?' in url else '?'}{OUTCOME}={code}{mark}{fragment}"


def without_outcome(target: str) -> str:
    """Return a target without the reason that a silent login has added."""
    if not has_outcome(target):
        return target
    url, mark, fragment = target.partition("#")
    path, _, query = url.partition("?")
    kept = "&".join(pair for pair in query.split("&") if pair.partition("=")[0] != OUTCOME)
    return f"{path}{'?' if kept else ''}{kept}{mark}{fragment}"


def has_outcome(target: str) -> bool:
    """Whether a target is the page that a silent login has come back to."""
    return any(pair.partition("=")[0] == OUTCOME for pair in urlsplit(target).query.split("&"))
