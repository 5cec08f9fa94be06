"""An access token that somebody brought to an API of this application, after it was checked.

Knows: what is known about it.
Must not: hold the token itself, which nobody needs any more.
"""

from dataclasses import dataclass

from .models import Identity
from .output_only import output_only, require_text


@output_only
@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """Who may do what.

    `client_id` is the client that brings the token, `sub` the person it acts for: None where it acts for itself
    (RFC 6749 4.4). `scopes` is what was granted. `expires_at` is in seconds since 1970, or None if the server did
    not say. `issuer` is the authorization server.
    """

    issuer: str
    client_id: str
    sub: str | None
    scopes: tuple[str, ...]
    expires_at: int | None

    def __post_init__(self) -> None:
        require_text(self, "issuer", "client_id")

    @property
    def identity(self) -> Identity | None:
        """The pair (issuer, sub), as a signed-in person has it; None where the client acts for itself."""
        return None if self.sub is None else Identity(self.issuer, self.sub)
