"""What a page may require of a login, and of the person who has logged in."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Self, Unpack

from ..base.dataclass import dataclass
from ..base.models import User
from ..base.session import MAX_LIFETIME, Session
from ..http.login_params import NO_PARAMS, LoginParamArgs, LoginParams

MIN_FRESH = 30
"""Seconds. A page with a shorter limit could not be reached, because the way back from XWMS takes a moment."""


@dataclass(frozen=True, slots=True)
class LoginRequirement:
    """What a page requires of a login: its maximum age in seconds, and the scopes that were granted.

    And of the person: one of `roles`, a verified e-mail address, one that is in one of `domains`.
    """

    fresh: int | None = None
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    verified_email: bool = False
    domains: frozenset[str] = frozenset()

    params: LoginParams = NO_PARAMS
    """The parameters of the login that the page asks for. No login is ever refused for them."""

    @classmethod
    def of(
        cls, *, fresh: timedelta | float | None, scopes: Sequence[str] = (), **params: Unpack[LoginParamArgs]
    ) -> Self:
        """Parse the arguments of a decorator; one string may name several scopes.

        Raises ValueError below `MIN_FRESH`, and for a malformed parameter.
        """
        names = frozenset(scopes.split() if isinstance(scopes, str) else scopes)
        login = LoginParams.of(**params) if params else NO_PARAMS
        if fresh is None:
            return cls(scopes=names, params=login)
        seconds = fresh.total_seconds() if isinstance(fresh, timedelta) else fresh
        if not seconds >= MIN_FRESH:
            raise ValueError(f"fresh must be at least {MIN_FRESH} seconds")
        return cls(fresh=int(min(seconds, MAX_LIFETIME.total_seconds())), scopes=names, params=login)

    @classmethod
    def of_person(
        cls, *, role: str | Sequence[str] = (), verified_email: bool = False, domain: str | Sequence[str] = ()
    ) -> Self:
        """Parse the arguments of `require`: each takes one name, or several of which one is enough.

        Raises ValueError if they require nothing, or if a domain is not one.
        """
        roles = frozenset([role] if isinstance(role, str) else role)
        domains = frozenset(parse_domain(one) for one in ([domain] if isinstance(domain, str) else domain))
        if not (roles or domains or verified_email):
            raise ValueError("require needs role=…, verified_email=True or domain=…")
        return cls(roles=roles, verified_email=verified_email or bool(domains), domains=domains)

    def is_met_by(self, user: User) -> bool:
        """Whether the e-mail address of the person is as required. An unverified one proves nothing."""
        if not self.verified_email:
            return True
        address = user.verified_email
        if address is None:
            return False
        return not self.domains or domain_of(address) in self.domains

    def is_fresh(self, session: Session, now: int) -> bool:
        """Whether the login is recent enough, counted from `proved_at`, or from the login if that is not known."""
        proved_at = session.started_at if session.proved_at is None else session.proved_at
        return self.fresh is None or now - proved_at <= self.fresh

    def is_granted(self, session: Session) -> bool:
        """Whether all required scopes were granted at this login."""
        return not self.scopes or (session.tokens is not None and self.scopes.issubset(session.tokens.scope))


ANY_LOGIN = LoginRequirement()


def domain_of(address: str) -> str | None:
    """The domain of an e-mail address in lower case, with the letters of IDNA as they are sent; None if it has none.

    None too for an address with a quoted part or with several in it: programs read such in different ways.
    """
    local, at, domain = address.rpartition("@")
    if not at or not re.fullmatch(_LOCAL_PART, local):
        return None
    try:
        return parse_domain(domain)
    except ValueError:
        return None


def parse_domain(domain: str) -> str:
    """A domain in one spelling: ASCII (IDNA), lower case, without a dot at the end. Raises ValueError."""
    try:
        # The letters that Python's IDNA of 2003 makes others of are letters of their own today (RFC 5894 7.2).
        is_other = not _DEVIATIONS.isdisjoint(domain)
        name = "" if is_other else domain.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if not re.fullmatch(_DOMAIN, name):
        raise ValueError(f"{domain!r} is not a domain, such as example.org")
    return name


_DOMAIN = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_LOCAL_PART = r"[^\s@\"(),:;<>\[\\\]]+"
_DEVIATIONS = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")
