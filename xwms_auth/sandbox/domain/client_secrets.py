"""The secrets of a client: made, linked to domains, regenerated, compared.

A value is shown once, when it is made, and kept as its digest."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

from xwms_auth.sandbox.db.schema import Client, ClientSecret, Domain
from xwms_auth.sandbox.domain.domains import domain_of, part_of
from xwms_auth.sandbox.domain.problems import Invalid, label

MAX_SECRETS: Final = 20  # per client: a call is compared with each


def sha256_of(secret: str) -> bytes:
    """The digest under which a secret or a token is kept; never fails, whatever a header may hold."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def add_secret(
    client: Client, *, label_text: str, domains: Iterable[Domain], expires_at: float | None, now: float
) -> str:
    """Make another secret for these domains, and tell it; `expires_at` None is never. Raises `Invalid`."""
    if expires_at is not None and expires_at <= now:
        raise Invalid(expires_at="That is in the past.")
    return new_secret(
        client,
        label(label_text, "label", what="the secret a label", longest=40),
        domains,
        expires_at=expires_at,
        now=now,
    )


def regenerate(secret: ClientSecret, *, revision: int, now: float) -> str:
    """Replace a secret's value, and tell the new one; the old one stops working at once.

    `revision` is the one that was seen by whoever asks: a form that is sent twice regenerates once. Raises `Invalid`,
    also for a secret whose time is over: a new value would be refused like the old one.
    """
    if revision != secret.revision:
        raise Invalid(
            secret=f"“{secret.label}” has been regenerated meanwhile."
            " If you have not seen the new secret, regenerate it once more."
        )
    if is_expired(secret, now):
        raise Invalid(secret=f"“{secret.label}” has expired, and its time stays over: add another secret instead.")
    value = _fresh()
    secret.digest, secret.revision, secret.created_at = sha256_of(value), secret.revision + 1, now
    return value


def secret_of(client: Client, secret_id: int) -> ClientSecret:
    """The client's secret with this id. Raises `Missing`."""
    return part_of(client.secrets, secret_id)


def link_domains(secret: ClientSecret, *, seen: Iterable[int], ticked: Iterable[int]) -> None:
    """Link the secret to the ticked domains, and unlink it from those that were seen and not ticked; both are ids.

    A domain that was not seen, because it is newer than the form, stays as it is. Raises `Missing`.
    """
    wanted = {domain_of(secret.client, domain_id).id for domain_id in ticked}
    unwanted = set(seen) - wanted
    for domain in secret.client.domains:
        _link(secret, domain, wanted=domain.id in wanted, unwanted=domain.id in unwanted)


def remove_secret(client: Client, secret: ClientSecret) -> None:
    """Remove a secret for good. Raises `Invalid` for the last one."""
    if len(client.secrets) == 1:
        raise Invalid(secret="A client keeps one secret at least: regenerate it, or switch it off.")
    client.secrets.remove(secret)


def matching_secret(client: Client, value: str) -> ClientSecret | None:
    """The client's secret with this value, active or not; compared in a time that does not tell how much was right."""
    digest = sha256_of(value)
    found: ClientSecret | None = None
    for secret in client.secrets:
        if hmac.compare_digest(secret.digest, digest):
            found = secret
    return found


def is_expired(secret: ClientSecret, now: float) -> bool:
    """Whether the secret's time is over."""
    return secret.expires_at is not None and secret.expires_at <= now


def is_usable(secret: ClientSecret, now: float) -> bool:
    """Whether calls may be made with the secret: it is switched on, and its time is not over."""
    return secret.active and not is_expired(secret, now)


def secrets_for(domain: Domain) -> list[ClientSecret]:
    """The secrets that are linked to the domain; those that are switched off or expired included."""
    return [secret for secret in domain.client.secrets if domain in secret.domains]


def link_secrets(domain: Domain, *, seen: Iterable[int], ticked: Iterable[int]) -> None:
    """Link the ticked secrets to the domain, and unlink those that were seen and not ticked; both are ids.

    A secret that was not seen, because it is newer than the form, stays as it is. Raises `Missing`.
    """
    wanted = {secret_of(domain.client, secret_id).id for secret_id in ticked}
    unwanted = set(seen) - wanted
    for secret in domain.client.secrets:
        _link(secret, domain, wanted=secret.id in wanted, unwanted=secret.id in unwanted)


def new_secret(client: Client, text: str, domains: Iterable[Domain], *, expires_at: float | None, now: float) -> str:
    if any(known.label.lower() == text.lower() for known in client.secrets):
        raise Invalid(label="This client has a secret with this label already: regenerate that one, or take another.")
    if len(client.secrets) >= MAX_SECRETS:
        raise Invalid(label=f"A client has at most {MAX_SECRETS} secrets: remove one first.")
    value = _fresh()
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


def _fresh() -> str:
    return secrets.token_urlsafe(32)
