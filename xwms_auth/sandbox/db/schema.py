"""The tables: accounts own clients; a client owns secrets, redirect URIs, domains, scopes and tokens; people approve.

Secrets and tokens are kept as their SHA-256 only; both are random, so a plain hash is enough. The one exception is the
key that signs ID tokens.

All times are seconds since 1970, UTC. An id is never reused (`sqlite_autoincrement`): a form that was opened before a
row was removed must not change a newer row.
"""

from typing import Final

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

VERSION: Final = 3
"""The version of these tables. A change of them increments it and adds a migration to `database.STEPS`."""

_OWNED: Final = "all, delete-orphan"


class Table(DeclarativeBase):
    """The base of every table."""


class Plan(Table):
    """A plan, which an account has to activate before it can create clients."""

    __tablename__ = "plans"

    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]


class Account(Table):
    """An account at XWMS: a company or a single person, with members."""

    __tablename__ = "accounts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    plan_key: Mapped[str | None] = mapped_column(ForeignKey("plans.key"))
    plan_since: Mapped[float | None]
    created_at: Mapped[float]

    plan: Mapped[Plan | None] = relationship()
    roles: Mapped[list["Role"]] = relationship(
        back_populates="account", cascade=_OWNED, passive_deletes=True, order_by="Role.id"
    )
    members: Mapped[list["Member"]] = relationship(
        back_populates="account", cascade=_OWNED, passive_deletes=True, order_by="Member.id"
    )


class Role(Table):
    """A named set of permissions. `built_in` roles cannot be changed or removed."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("account_id", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    built_in: Mapped[bool]

    account: Mapped[Account] = relationship(back_populates="roles")
    permissions: Mapped[list["RolePermission"]] = relationship(cascade=_OWNED, passive_deletes=True, lazy="selectin")


class RolePermission(Table):
    """One permission of a role; the names are in `accounts.Permission`."""

    __tablename__ = "role_permissions"

    role_id: Mapped[int] = mapped_column(ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True)
    permission: Mapped[str] = mapped_column(primary_key=True)


class Member(Table):
    """A person who works in an account's dashboard."""

    __tablename__ = "members"
    __table_args__ = (UniqueConstraint("account_id", "email"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    role_id: Mapped[int] = mapped_column(ForeignKey("roles.id"))
    name: Mapped[str]
    email: Mapped[str]
    created_at: Mapped[float]

    account: Mapped[Account] = relationship(back_populates="members")
    role: Mapped[Role] = relationship()


class Client(Table):
    """An application that may ask people to sign in. `client_id` is its public id, `id` is internal.

    `backchannel_logout_uri` receives a logout token when an OAuth login has ended; None sends none.
    """

    __tablename__ = "clients"
    __table_args__ = (UniqueConstraint("account_id", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[float]
    backchannel_logout_uri: Mapped[str | None]

    secrets: Mapped[list["ClientSecret"]] = relationship(
        back_populates="client", cascade=_OWNED, passive_deletes=True, order_by="ClientSecret.id"
    )
    redirect_uris: Mapped[list["RedirectURI"]] = relationship(
        back_populates="client", cascade=_OWNED, passive_deletes=True, order_by="RedirectURI.id"
    )
    domains: Mapped[list["Domain"]] = relationship(
        back_populates="client", cascade=_OWNED, passive_deletes=True, order_by="Domain.id"
    )
    scopes: Mapped[list["ClientScope"]] = relationship(
        cascade=_OWNED, passive_deletes=True, order_by="ClientScope.scope"
    )


class SecretDomain(Table):
    """A link: the secret may be used for the domain."""

    __tablename__ = "secret_domains"

    secret_id: Mapped[int] = mapped_column(ForeignKey("client_secrets.id", ondelete="CASCADE"), primary_key=True)
    domain_id: Mapped[int] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True)


class ClientSecret(Table):
    """One of a client's secrets. `revision` counts how often it was regenerated; `expires_at` None means never."""

    __tablename__ = "client_secrets"
    __table_args__ = (UniqueConstraint("client_pk", "label"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    label: Mapped[str]
    digest: Mapped[bytes]
    active: Mapped[bool] = mapped_column(default=True)
    expires_at: Mapped[float | None]
    created_at: Mapped[float]
    revision: Mapped[int] = mapped_column(default=1)

    client: Mapped[Client] = relationship(back_populates="secrets")
    domains: Mapped[list["Domain"]] = relationship(secondary="secret_domains", order_by="Domain.id")


class RedirectURI(Table):
    """A registered redirect URI of a client, compared byte for byte."""

    __tablename__ = "redirect_uris"
    __table_args__ = (UniqueConstraint("client_pk", "uri"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    uri: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)

    client: Mapped[Client] = relationship(back_populates="redirect_uris")


class Domain(Table):
    """A domain of a client. Calls name it by `root_domain` or `domain_id`; empty `allowed_ips` allow every address.

    `live` is XWMS's mode for production: it requires https redirect URIs. Without it the domain is in test mode.
    """

    __tablename__ = "domains"
    __table_args__ = (UniqueConstraint("client_pk", "root_domain"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    root_domain: Mapped[str]
    domain_id: Mapped[str] = mapped_column(unique=True)
    active: Mapped[bool] = mapped_column(default=True)
    allow_login: Mapped[bool] = mapped_column(default=True)
    allow_api: Mapped[bool] = mapped_column(default=True)
    live: Mapped[bool] = mapped_column(default=False)
    allowed_ips: Mapped[list[str]] = mapped_column(JSON, default=list)
    fallback_uri: Mapped[str | None]

    client: Mapped[Client] = relationship(back_populates="domains")


class ClientScope(Table):
    """A scope that a client may request; the names are in `approvals.SCOPES`."""

    __tablename__ = "client_scopes"

    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)


class Person(Table):
    """Somebody who can sign in. `sub` is the identity; the rest may change and may be shared.

    `picture` None is the sandbox's own one, and "" none at all.
    """

    __tablename__ = "people"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    sub: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    given_name: Mapped[str]
    family_name: Mapped[str | None]
    email: Mapped[str | None]
    email_verified: Mapped[bool]
    picture: Mapped[str | None]
    note: Mapped[str] = mapped_column(default="")
    listed: Mapped[bool] = mapped_column(default=False, index=True)
    birth_date: Mapped[str | None]
    gender: Mapped[str | None]
    second_email: Mapped[str | None]
    country: Mapped[str | None]
    socials: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)


class Address(Table):
    """A postal address of a person; `country` is ISO 3166-1 alpha-2."""

    __tablename__ = "addresses"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    country: Mapped[str]
    fields: Mapped[dict[str, str | None]] = mapped_column(JSON)


class Approval(Table):
    """A person's approval of a client; a withdrawn one is kept, with the time, until they approve again."""

    __tablename__ = "approvals"
    __table_args__ = (
        UniqueConstraint("client_pk", "person_id"),
        Index("ix_approvals_latest", "client_pk", "last_login_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    since: Mapped[float]
    last_login_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    scopes: Mapped[list[str]] = mapped_column(JSON, default=list)

    person: Mapped[Person] = relationship()


class SignIn(Table):
    """A login that an app started, from `sign-token` to `sign-token-verify`."""

    __tablename__ = "sign_ins"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    callback_digest: Mapped[bytes | None] = mapped_column(unique=True)
    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    domain_pk: Mapped[int] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    redirect_url: Mapped[str]
    expires_at: Mapped[float] = mapped_column(index=True)
    spent_at: Mapped[float | None]

    client: Mapped[Client] = relationship()
    domain: Mapped[Domain] = relationship()
    person: Mapped[Person | None] = relationship()


class AuthorizationRequest(Table):
    """A pending request at the authorization endpoint of OAuth.

    `parameters` are those of the request (RFC 6749, section 4.1.1), each once; they are deleted when it is answered.
    """

    __tablename__ = "authorization_requests"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    domain_pk: Mapped[int] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    parameters: Mapped[dict[str, str]] = mapped_column(JSON)
    expires_at: Mapped[float] = mapped_column(index=True)
    answered_at: Mapped[float | None]

    client: Mapped[Client] = relationship()
    domain: Mapped[Domain] = relationship()


class Grant(Table):
    """What a person granted a client at one OAuth login: the code, and the family of tokens issued for it.

    `sid` identifies it in ID tokens and logout tokens. `ended_at` invalidates the code and every token at once.
    """

    __tablename__ = "grants"
    __table_args__ = (Index("ix_grants_of", "client_pk", "person_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(unique=True)
    client_pk: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    domain_pk: Mapped[int] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    scope: Mapped[str]
    nonce: Mapped[str | None]
    auth_time: Mapped[float] = mapped_column(index=True)
    redirect_uri: Mapped[str]
    code_digest: Mapped[bytes] = mapped_column(unique=True)
    code_challenge: Mapped[str]
    code_expires_at: Mapped[float]
    code_spent_at: Mapped[float | None]
    ended_at: Mapped[float | None]

    client: Mapped[Client] = relationship()
    domain: Mapped[Domain] = relationship()
    person: Mapped[Person] = relationship()


class Token(Table):
    """An access or refresh token of a grant. `spent_at` is when a refresh token was used, or a token revoked."""

    __tablename__ = "tokens"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("grants.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    scope: Mapped[str]
    issued_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)
    spent_at: Mapped[float | None]

    grant: Mapped[Grant] = relationship()


class SigningKey(Table):
    """The key that signs ID tokens and logout tokens, as a JWK (RFC 7517) with its private part."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    jwk: Mapped[dict[str, str]] = mapped_column(JSON)
    created_at: Mapped[float]


class ApiCall(Table):
    """An entry of the API log in the dashboard: the call, the status and the reason, without body and token."""

    __tablename__ = "api_calls"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    client_pk: Mapped[int | None] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    method: Mapped[str]
    endpoint: Mapped[str]
    domain: Mapped[str | None]
    ip: Mapped[str | None]
    status: Mapped[int]
    reason: Mapped[str]
