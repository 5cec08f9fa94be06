"""The validation of every option, and the values derived from valid options.

Never raises for a value: a fault is a sentence that says how to fix it, and never quotes a secret.
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast, get_args

from ..base.assets.button_style import STYLE_PATH
from ..base.assets.login_script import PLAIN_SCRIPT_PATH, SCRIPT_PATH
from ..base.errors import ConfigError
from ..base.models import Secret
from ..base.store_protocols import RevocationStore, SessionStore
from ..base.strict_json import is_scope
from ..http.messages import MAX_COOKIE_TAG, MAX_TARGET, cookie_tag_of
from ..http.next_url import safe_next
from ..http.urls import RedirectURI, check_route_path, parse_api_url, parse_origin, parse_redirect_uri
from .appearance import validate_visitor_options
from .env import (
    CALLBACK_PATH,
    DEFAULT_PATHS,
    DEVELOPMENT_PREFIX,
    ENVIRONMENT,
    MAX_AUDIENCE,
    MIN_SESSION_SECRET,
    CallbackToken,
    ClientAuth,
    Flow,
    IntrospectedType,
    Protect,
    RecheckPolicy,
    TokenValidation,
    may_hold_password,
)
from .epoch import parse_epoch
from .limits import validate_limits
from .secret_sources import SecretFromCallable, SecretFromFile, SecretSource, header_fault, is_repetitive
from .server.issuers import DerivedIssuer, issuer_faults, names_server, parse_issuer
from .server.named_endpoints import parse_named, validate_endpoints
from .store_urls import store_url_fault

if TYPE_CHECKING:
    from .config import XWMSConfig


MAX_ORIGINS = 1500
"""Characters of all login origins: they are in a header of the page that asks for a click before a login."""


class Validator:
    """Validates a config field by field and sets the derived fields. Collects faults instead of raising."""

    def __init__(self, config: "XWMSConfig") -> None:
        self.config = config
        self.faults: list[str] = []
        self.client_secret = Secret("")

    def set(self, name: str, value: object) -> None:
        object.__setattr__(self.config, name, value)

    def fault(self, name: str, reason: str) -> None:
        variable = ENVIRONMENT.get(name, (name,))[0]
        self.faults.append(f"{variable} ({name}) {reason}" if variable != name else f"{name} {reason}")

    def validate(self) -> None:
        if isinstance(self.config.issuer, DerivedIssuer):  # of the config that this one is a copy of
            self.set("issuer", "")
        self.missing()
        self.client()
        self.addresses()
        self.keys()
        validate_limits(self)
        self.epoch()
        self.routes()
        self.choices()
        self.stores()
        self.oauth2()
        self.cookies()
        validate_visitor_options(self)
        self.set("faults", tuple(self.faults))

    def missing(self) -> None:
        """Put something valid in the place of each setting that is missing, and note which it is."""
        config, missing = self.config, list[str]()
        placeholders: dict[str, object] = {
            "client_id": "missing",
            "client_secret": Secret("missing"),
            "redirect_uris": (f"https://missing.invalid{CALLBACK_PATH}",),
        }
        if config.flow == "oauth2" and not config.authorization_endpoint:
            placeholders["issuer"] = "https://missing.invalid"
        for name, placeholder in placeholders.items() if config.allow_missing_settings is True else ():
            # Also what has been put there before: a config may be copied with changes.
            if not getattr(config, name) or getattr(config, name) == placeholder:
                self.set(name, placeholder)
                missing.append(f"{ENVIRONMENT[name][0]} ({name}) is missing")
        self.set("missing", tuple(missing))

    def client(self) -> None:
        if not isinstance(self.config.client_id, str) or not self.config.client_id:
            self.fault(
                "client_id",
                "is missing; find it in the Clients section of the XWMS dashboard, or develop without an account: "
                "xwms-auth dev MODULE:APP",
            )
        elif header_fault(Secret(self.config.client_id)) or len(self.config.client_id) > 255:
            self.fault("client_id", "has characters that cannot be part of a client id")
        value = self.config.client_secret
        source: Secret | SecretSource = Secret("")
        if isinstance(value, str | Secret):
            source = Secret(value)
        elif isinstance(value, SecretSource):
            source = value
        elif callable(value):
            source = SecretFromCallable(value)
        else:
            self.fault("client_secret", "is neither text nor a callable")
        self.set("client_secret", source)
        self.set("secret_source", source)
        if isinstance(value, str | Secret) and isinstance(source, Secret):
            if not source:
                self.fault("client_secret", "is missing; it was shown once when the client was created")
            elif reason := header_fault(source):
                self.fault("client_secret", reason)
            self.client_secret = source
        elif isinstance(source, SecretFromFile):
            try:
                self.client_secret = source()
            except ConfigError as error:
                self.faults.extend(error.problems)

    def addresses(self) -> None:
        config = self.config
        allow_http = config.insecure_allow_http is True
        self.set("redirect_uris", _as_tuple(config.redirect_uris))
        registered: list[RedirectURI] = []
        if not config.redirect_uris:
            self.fault("redirect_uris", "is missing; use the callback URL registered with XWMS")
        for number, uri in enumerate(config.redirect_uris, 1):
            try:
                registered.append(parse_redirect_uri(_text(uri), allow_http=allow_http))
            except ValueError as error:
                self.fault("redirect_uris", f"number {number} {error}" if len(config.redirect_uris) > 1 else str(error))
        if len({uri.uri for uri in registered}) != len(registered):
            self.fault("redirect_uris", "has one URL twice")
        hosts = [host for uri in registered for host in uri.host_names]
        if len(set(hosts)) != len(hosts):
            self.fault("redirect_uris", "has two URLs on one host; the host of the request selects one of them")
        if allow_http and any(uri.secure for uri in registered):
            self.fault("insecure_allow_http", "is set together with an https redirect URI; it is for development only")
        self.set("registered", tuple(registered))
        try:
            self.set("api", parse_api_url(_text(config.api_url), allow_http=allow_http))
            self.set("api_url", config.api.origin + config.api.path)
        except ValueError as error:
            self.fault("api_url", str(error))
        for name in ("login_origins", "trusted_origins"):
            self.set(name, _as_tuple(getattr(config, name)))
            for origin in getattr(config, name):
                try:
                    parse_origin(_text(origin))
                except ValueError as error:
                    self.fault(name, f"has an entry that {error}")
        if not config.domain and registered:
            self.set("domain", registered[0].host)
        domain: object = config.domain
        if domain and (not isinstance(domain, str) or header_fault(Secret(domain)) or set("/ ") & set(domain)):
            self.fault("domain", "is not a plain domain or domain id; leave out https:// and any path")

    def keys(self) -> None:
        value: object = self.config.session_secret
        entries = (value,) if isinstance(value, str | Secret | bytes) else _as_tuple(value)
        keys: list[Secret] = []
        for entry in entries:
            plain = entry.decode("latin-1") if isinstance(entry, bytes) else entry
            if isinstance(plain, str | Secret):
                keys.append(Secret(plain))
            else:
                self.fault("session_secret", "has an entry that is not text")
        self.set("session_secret", tuple(keys))
        self.set("session_keys", tuple(keys))
        if any(len(key.reveal().encode("utf-8", "surrogatepass")) < MIN_SESSION_SECRET for key in keys):
            self.fault(
                "session_secret",
                f"or Flask's secret_key has a key under {MIN_SESSION_SECRET} bytes; make one with: xwms-auth secret",
            )
        elif any(is_repetitive(key.reveal()) for key in keys):
            self.fault("session_secret", "has a key that anybody could guess; make one with: xwms-auth secret")
        is_public = any(not uri.loopback for uri in self.config.registered)
        if is_public and any(key.reveal().startswith(DEVELOPMENT_PREFIX) for key in keys):
            self.fault("session_secret", "has a key of `xwms-auth dev`; make one of your own with: xwms-auth secret")
        if self.client_secret and self.client_secret in keys:
            self.fault("session_secret", "is the client secret; the two must differ; make one with: xwms-auth secret")

    def routes(self) -> None:
        config = self.config
        self.prefix()
        names = ["login_path", "logout_path", "me_path", "backchannel_path"]
        for name in names:
            try:
                check_route_path(_text(getattr(config, name)))
            except ValueError as error:
                self.fault(name, str(error))
        callbacks = frozenset(uri.path for uri in config.registered)
        if config.flow != "oauth2":
            names.remove("backchannel_path")
        routes = [getattr(config, name) for name in names if isinstance(getattr(config, name), str)]
        if len({*routes, *callbacks}) != len(routes) + len(callbacks):
            self.fault(
                "login_path", "and logout_path, me_path, backchannel_path and the redirect URIs' paths must all differ"
            )
        self.set("callback_paths", callbacks)
        self.set("style_path", config.path_prefix + STYLE_PATH)
        self.set("script_path", config.path_prefix + SCRIPT_PATH)
        self.set("plain_script_path", config.path_prefix + PLAIN_SCRIPT_PATH)
        assets = {config.style_path, config.script_path, config.plain_script_path}
        self.set("own_paths", callbacks | {*routes, *assets})
        # Only `after_login` may be elsewhere: `after_logout` is also where our pages' own link leads.
        for name, origins in (("after_login", config.trusted_origins), ("after_logout", ())):
            target = getattr(config, name)
            if not isinstance(target, str) or safe_next(target, own_paths=config.own_paths, origins=origins) != target:
                kind = 'path on this site such as "/welcome"' + (" or a URL of a trusted origin" if origins else "")
                self.fault(name, f"is not a {kind}, or it is one of the login routes")
        for name in ("login_path", "after_login", "after_logout"):
            if len(str(getattr(config, name))) > MAX_TARGET:
                self.fault(name, f"is longer than {MAX_TARGET} characters")
        self.set("public", _as_tuple(config.public))
        for path in config.public:
            plain = path.removesuffix("*") if isinstance(path, str) and path.endswith("/*") else path
            if not isinstance(plain, str) or not plain.startswith("/") or "*" in plain:
                self.fault("public", "has an entry that is neither an exact path nor a prefix that ends in /*")

    def prefix(self) -> None:
        """Put the prefix in front of the default paths."""
        given: object = self.config.path_prefix
        prefix = ""
        if given == "":
            shown = {uri.path.removesuffix(CALLBACK_PATH) for uri in self.config.registered}
            if len(shown) == 1 and all(uri.path.endswith(CALLBACK_PATH) for uri in self.config.registered):
                prefix = shown.pop()
        elif given != "/":
            try:
                check_route_path(_text(given))
                prefix = str(given)
            except ValueError as error:
                self.fault("path_prefix", str(error))
        self.set("path_prefix", prefix)
        for name, path in DEFAULT_PATHS.items():
            if getattr(self.config, name) == "":
                self.set(name, prefix + path)

    def epoch(self) -> None:
        self.set("valid_after_seconds", 0)
        if self.config.sessions_valid_after == "":
            return
        try:
            epoch = parse_epoch(self.config.sessions_valid_after)
        except ValueError as error:
            self.fault("sessions_valid_after", str(error))
        else:
            self.set("sessions_valid_after", epoch)
            self.set("valid_after_seconds", int(epoch.timestamp()))

    def choices(self) -> None:
        config = self.config
        named = {
            "callback_token": CallbackToken,
            "protect": Protect,
            "recheck_policy": RecheckPolicy,
            "flow": Flow,
            "client_auth": ClientAuth,
            "token_validation": TokenValidation,
            "introspection_token_type": IntrospectedType,
        }
        for name, choices in named.items():
            if getattr(config, name) not in get_args(choices):
                self.fault(name, "must be one of: " + ", ".join(get_args(choices)))
        if len(" ".join(map(str, config.login_origins))) > MAX_ORIGINS:
            self.fault("login_origins", f"has more than {MAX_ORIGINS} characters, which a page of ours has to send")
        switches = ("confirm_person", "debug", "id_token_hint", "leak_guard", "provider_logout", "redact_access_logs")
        for name in (*switches, "insecure_allow_http", "allow_missing_settings"):
            if not isinstance(getattr(config, name), bool):
                self.fault(name, "must be True or False")

    def stores(self) -> None:
        config = self.config
        for name in ("session_store", "revocation_store"):
            value = getattr(config, name)
            if isinstance(value, str | Secret):
                url = Secret(value)
                self.set(name, url if may_hold_password(url) else url.reveal())
        if config.session_store != "cookie":
            self.store("session_store", config.session_store, SessionStore, "cookie, ")
            if config.revocation_store:
                self.fault("revocation_store", "is only for session_store=cookie; other stores can revoke sessions")
        elif config.revocation_store:
            self.store("revocation_store", config.revocation_store, RevocationStore, "")

    def store(self, name: str, value: object, protocol: type, more: str) -> None:
        if isinstance(value, str | Secret):
            fault = store_url_fault(Secret(value), more)
            if fault is not None:
                self.fault(name, fault)
        elif not isinstance(value, protocol):
            self.fault(name, f"is neither a URL nor a {protocol.__name__}")

    def cookies(self) -> None:
        config, tag = self.config, cast("object", self.config.cookie_tag)
        if tag == "":
            self.set("cookie_tag", cookie_tag_of(f"{config.flow}:{config.client_id}@{config.issuer}"))
        elif not isinstance(tag, str) or not re.fullmatch(f"[a-z0-9]{{1,{MAX_COOKIE_TAG}}}", tag):
            self.fault("cookie_tag", f"must be 1 to {MAX_COOKIE_TAG} characters of a-z and 0-9")

    def oauth2(self) -> None:
        config = self.config
        value: object = config.scopes
        scopes = tuple(value.split()) if isinstance(value, str) else _as_tuple(value)
        if isinstance(value, str) and "," in value:
            # A comma may be a part of a scope, so a list in code may have one.
            self.fault("scopes", "is separated by commas; write spaces between scopes")
        if not all(map(is_scope, scopes)):
            self.fault("scopes", "has an entry that is not a scope: visible ASCII without quotes and backslashes")
        self.set("scopes", scopes)
        audience: object = config.audience
        # The characters of a scope; empty where none is set.
        if audience != "" and (not is_scope(audience) or len(audience) > MAX_AUDIENCE):
            self.fault("audience", "is not a valid name of an API: visible ASCII without quotes and backslashes")
        self.set("openid", "openid" in scopes)
        self.set("unused_issuer", "")
        endpoints = parse_named(self)
        if config.flow != "oauth2":
            self.name_of_api()
            return
        if any(find_spec(name) is None for name in ("authlib", "joserfc")):
            self.fault("flow", "is oauth2, which needs Authlib: pip install 'xwms-auth[oauth2]'")
        if config.token_validation == "jwt" and not config.audience:
            self.fault("audience", "is missing; token_validation=jwt needs the name of this API in tokens (aud)")
        for name, reason in issuer_faults(config):
            self.fault(name, reason)
        validate_endpoints(self, endpoints)

    def name_of_api(self) -> None:
        """The issuer with sign-token. One of another server is no fault: then one variable changes the flow."""
        config, given = self.config, self.config.issuer
        try:
            named = parse_issuer(given, allow_http=config.insecure_allow_http is True) if given else None
        except ValueError as error:
            self.fault("issuer", str(error))
            return
        # The API's URL is missing where it is a fault.
        if named is None or not hasattr(config, "api") or not names_server(named, config.api):
            self.set("issuer", DerivedIssuer(config.api_url))
            self.set("unused_issuer", given if given != config.api_url else "")


def _as_tuple(value: object) -> tuple[object, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return (value,) if value else ()
    return tuple(cast("Sequence[object]", value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text")
    return value
