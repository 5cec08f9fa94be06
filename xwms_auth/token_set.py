"""The tokens that an authorization server gave for one person (RFC 6749 5.1).

Knows: what there is of them, and how long it lasts.
Must not: show one: each is a `Secret`.
"""

from dataclasses import dataclass

from .output_only import output_only
from .secret import Secret


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """One answer of a token endpoint.

    `scope` is what was granted, which may be less or more than was asked for; `expires_at` is in seconds since 1970,
    or None if the server gave no lifetime. `id_token` is as it came; it is read at the login and not kept.
    `sid` is the server's name for the login that the tokens belong to, for a logout that begins there.
    `number` counts the refreshes since the login: of two sets of one session, the higher is the newer.
    """

    access_token: Secret
    refresh_token: Secret | None
    id_token: Secret | None
    scope: tuple[str, ...]
    expires_at: int | None
    sid: str | None = None
    number: int = 0
