"""The secrets of a client: creating, linking to domains, regenerating, comparing.

A secret is shown once, when it is created, and kept as its digest only.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

from xwms_auth.sandbox.db.schema import Client, ClientSecret, Domain
from xwms_auth.sandbox.domain.client_domains import domain_of, part_of
from xwms_auth.sandbox.domain.problems import Invalid, all_valid, label

MAX_SECRETS: Final = 20  # per client; each call is compared with all of them


def sha256_of(secret: str) -> bytes:
    """The digest of a secret or token; never fails, whatever a header contains."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def add_secret(
    client: Client, *, label_text: str, domains: Iterable[Domain], expires_at: float | None, now: float
) -> str:
    """Create a secret for these domains and return it; `expires_at` None means never. Raises `Invalid`."""
    wanted, _ = all_valid(lambda: free_label(client, label_text), lambda: in_the_future(expires_at, now=now))
    return new_secret(client, wanted, domains, expires_at=expires_at, now=now)


def free_label(client: Client, text: str) -> str:
    """The label for another secret of the client. Raises `Invalid`."""
    wanted = label(text, "label", what="the secret a label", longest=40)
    if any(known.label.lower() == wanted.lower() for known in client.secrets):
        raise Invalid(label="This client already has a secret with this label: regenerate it, or use another label.")
    if len(client.secrets) >= MAX_SECRETS:
        raise Invalid(label=f"A client has at most {MAX_SECRETS} secrets: remove one first.")
    return wanted


def in_the_future(expires_at: float | None, *, now: float) -> float | None:
    """The same time, or None. Raises `Invalid`."""
    if expires_at is not None and expires_at <= now:
        raise Invalid(expires_at="This time is in the past.")
    return expires_at


def regenerate(secret: ClientSecret, *, revision: int, now: float) -> str:
    """Replace a secret's value and return the new one; the old one stops working at once.

    `revision` is that of the form, so that a form that is sent twice regenerates once. Raises `Invalid`, also for an
    expired secret: a new value would be refused like the old one.
    """
    if revision != secret.revision:
        raise Invalid(
            secret=f"“{secret.label}” has been regenerated meanwhile."
            " If you have not seen the new secret, regenerate it once more."
        )
    if is_expired(secret, now):
        raise Invalid(secret=f"“{secret.label}” has expired and cannot be extended: add another secret instead.")
    value = _new_value()
    secret.digest, secret.revision, secret.created_at = sha256_of(value), secret.revision + 1, now
    return value


def secret_of(client: Client, secret_id: int) -> ClientSecret:
    """The client's secret with this id. Raises `Missing`."""
    return part_of(client.secrets, secret_id)


def link_domains(secret: ClientSecret, *, seen: Iterable[int], ticked: Iterable[int]) -> None:
    """Link the secret to the ticked domains, and unlink it from those that were shown and not ticked; both are ids.

    A domain that is newer than the form stays as it is. Raises `Missing`.
    """
    wanted = {domain_of(secret.client, domain_id).id for domain_id in ticked}
    unwanted = set(seen) - wanted
    for domain in secret.client.domains:
        _link(secret, domain, wanted=domain.id in wanted, unwanted=domain.id in unwanted)


def remove_secret(client: Client, secret: ClientSecret) -> None:
    """Remove a secret for good. Raises `Invalid` for the last one."""
    if len(client.secrets) == 1:
        raise Invalid(secret="A client needs at least one secret: regenerate it, or switch it off.")
    client.secrets.remove(secret)


def matching_secret(client: Client, value: str) -> ClientSecret | None:
    """The client's secret with this value, active or not. Timing attack: compared in constant time."""
    digest = sha256_of(value)
    found: ClientSecret | None = None
    for secret in client.secrets:
        if hmac.compare_digest(secret.digest, digest):
            found = secret
    return found


def is_expired(secret: ClientSecret, now: float) -> bool:
    """Whether the secret has expired."""
    return secret.expires_at is not None and secret.expires_at <= now


def is_usable(secret: ClientSecret, now: float) -> bool:
    """Whether the secret is active and has not expired."""
    return secret.active and not is_expired(secret, now)


def secrets_for(domain: Domain) -> list[ClientSecret]:
    """The secrets that are linked to the domain; also inactive and expired ones."""
    return [secret for secret in domain.client.secrets if domain in secret.domains]


def link_secrets(domain: Domain, *, seen: Iterable[int], ticked: Iterable[int]) -> None:
    """Link the ticked secrets to the domain, and unlink those that were shown and not ticked; both are ids.

    A secret that is newer than the form stays as it is. Raises `Missing`.
    """
    wanted = {secret_of(domain.client, secret_id).id for secret_id in ticked}
    unwanted = set(seen) - wanted
    for secret in domain.client.secrets:
        _link(secret, domain, wanted=secret.id in wanted, unwanted=secret.id in unwanted)


def new_secret(client: Client, text: str, domains: Iterable[Domain], *, expires_at: float | None, now: float) -> str:
    """The same without validation."""
    value = _new_value()
    client.secrets.append(
        ClientSecret(
            label=text,
            digest=sha256_of(value),
            active=True,
            expires_at=expires_at,
            created_at=now,
            revision=1,
            domains=list(domains),
        )
    )
    return value


def _link(secret: ClientSecret, domain: Domain, *, wanted: bool, unwanted: bool) -> None:
    if wanted and domain not in secret.domains:
        secret.domains.append(domain)
    elif unwanted and domain in secret.domains:
        secret.domains.remove(domain)


def _new_value() -> str:
    return secrets.token_urlsafe(32)
