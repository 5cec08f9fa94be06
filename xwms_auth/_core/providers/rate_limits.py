"""The rate limits of a process for what anybody can make it ask XWMS: logins started, and foreign tokens spent.

Each is for all together, and lets those go first that have used little of it (`FairLimit`).
"""

from ..base import events
from ..base.errors import TooManyLogins, TooManyLoginsFromAddress
from ..base.memory.fair_limit import UNKNOWN, Decision, Source
from ..config.context import Context
from ..http.client_address import source_of
from ..http.messages import Request

WARNING_INTERVAL = 60
"""Seconds between two warnings that an address has reached its limit."""

_FORWARDING = ("x-forwarded-for", "forwarded")


def require_login_start(context: Context, request: Request, *, now: int) -> None:
    """Count a login that is about to start. Raises `TooManyLogins` or `TooManyLoginsFromAddress`."""
    source = source_of(request.address)
    _warn_of_hidden_addresses(context, request, source)
    decision = context.state.login_starts.take(source, now)
    if decision is Decision.FOR_SOURCE:
        # An address is personal data, and its network is enough to look for it in an access log.
        network = source.network
        if context.state.limit_warnings.add("login_starts", until=now + WARNING_INTERVAL, now=now):
            hint = "if that is a proxy of yours, let it pass on the addresses of visitors (docs/client-addresses.md)"
            events.warning("address_limited", network=network, hint=hint)
        raise TooManyLoginsFromAddress(f"the rate limit for one address is reached, in {network}")
    if decision is not Decision.ALLOWED:
        raise TooManyLogins("the rate limit for starting logins is reached")


def may_spend(context: Context, address: object, *, store_is_down: bool, now: int) -> bool:
    """Count a foreign token that is about to be spent, and was not issued here as far as is known.

    While the store is down, that is not known of any; so as many may be spent as logins can be started.
    """
    limit = context.state.invalidations_without_store if store_is_down else context.state.invalidations
    return limit.take(source_of(address), now) is Decision.ALLOWED


def _warn_of_hidden_addresses(context: Context, request: Request, source: Source) -> None:
    """Log once that the addresses of visitors do not arrive here, so that all of them count as one."""
    state = context.state
    if state.address_told:
        return
    if source is UNKNOWN:
        state.address_told = True
        events.info("address_unknown", hint="the server tells no client address, so that all visitors count as one")
    elif source.may_be_many and (forwarded := _forwarded(request)) and str(request.address) not in forwarded:
        # The header is not believed: it only shows that there is a proxy, whose own address this must be.
        state.address_told = True
        hint = "the server tells the address of a proxy for every visitor: see docs/client-addresses.md"
        events.warning("address_of_a_proxy", network=source.network, hint=hint)


def _forwarded(request: Request) -> str:
    return next((value for name in _FORWARDING if (value := request.header(name))), "")
