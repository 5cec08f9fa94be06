"""The settings, without a network: what the package itself refuses, and what is legal but a mistake in production."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from xwms_auth._core.base.errors import ConfigError
from xwms_auth._core.base.models import Secret
from xwms_auth._core.config.config import XWMSConfig
from xwms_auth._core.config.misspelt import misspelt
from xwms_auth.cli.doctor.findings import Finding, fault, ok, warning

KNOWN_FAULTS: Final = {
    "flask": (3, 1, 3),
    "werkzeug": (3, 0, 6),
    "starlette": (1, 3, 0),
    "cryptography": (44, 0, 1),
}
"""The first version without a known fault, as in docs/versions.md."""


_REHEARSE: Final = (
    "set it; for an application of this machine: `xwms-auth sandbox --env-file xwms.env`, then in another terminal "
    "`set -a; . ./xwms.env; set +a` and this command"
)
"""`xwms-auth dev` tells its settings to the application alone."""


def of_environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What can be told without a valid config."""
    for sentence in misspelt(environ):
        yield fault("names", sentence, "rename it, or take it away")
    for variable in ("XWMS_CLIENT_SECRET_FILE", "XWMS_SESSION_SECRET_FILE"):
        file = environ.get(variable)
        try:
            is_open = bool(file and Path(file).stat().st_mode & 0o004)
        except OSError:
            continue  # the config says so
        if is_open:
            yield warning(
                "secret files", f"every user of this machine can read the file of {variable}", f"chmod 600 {file}"
            )


def of_faults(error: ConfigError, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What the config refuses; each sentence says how to mend it. Misspelt names of the environment are told before."""
    told = misspelt(environ)
    missing = _REHEARSE
    for problem in (one for one in error.problems if one not in told):
        if " is missing" in problem:
            yield fault("settings", problem, missing)
            missing = "set it"
        else:
            yield fault("settings", problem, "the page Options of the documentation has each setting")


def of_missing(config: XWMSConfig) -> Iterator[Finding]:
    """What XWMS_ALLOW_MISSING_SETTINGS has let pass."""
    for missing in config.missing:
        yield fault("settings", missing, "set it; XWMS_ALLOW_MISSING_SETTINGS only lets commands of an application run")


def of_config(config: XWMSConfig, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What is legal, and a mistake on a site that people use."""
    yield ok("settings", f"valid for client {config.client_id}, flow {config.flow}")
    is_public = [uri for uri in config.registered if not uri.loopback]
    if is_public:
        yield from _of_public_site(config, is_public[0].uri)
    domains = [uri.uri for uri in config.registered if not _is_below(uri.host, config.domain)]
    if domains and config.flow == "sign-token":
        remedy = "set XWMS_DOMAIN to the domain that the dashboard has for this client, without https://"
        yield warning("domain", f"XWMS_DOMAIN is {config.domain}, and {domains[0]} is on another host", remedy)
    yield from _of_store(config, environ)


def _of_public_site(config: XWMSConfig, uri: str) -> Iterator[Finding]:
    if config.api.loopback:
        remedy = "unset XWMS_API_URI, XWMS_ISSUER, XWMS_DOMAIN and XWMS_DEBUG, which are the local XWMS's"
        yield fault("api", f"the redirect URI is {uri}, but XWMS_API_URI is still {config.api_url}", remedy)
    if config.debug:
        yield warning("debug", "XWMS_DEBUG is on: error pages show settings to every visitor", "unset XWMS_DEBUG")
    if config.insecure_allow_http:
        text = "XWMS_INSECURE_ALLOW_HTTP is on: whoever is on the network can read cookies and tokens"
        yield warning("https", text, "serve the site with https, and unset it")


def _of_store(config: XWMSConfig, environ: Mapping[str, str]) -> Iterator[Finding]:
    store = config.session_store
    kind = Secret(store).reveal() if isinstance(store, str | Secret) else type(store).__name__
    workers = _workers(environ)
    if kind == "memory://":
        if workers > 1:
            remedy = "set XWMS_SESSION_STORE to cookie, sqlite:///…, redis://… or a database"
            yield fault(
                "workers", f"{workers} workers, and sessions in the memory of one: people seem signed out", remedy
            )
        else:
            remedy = "set XWMS_SESSION_STORE; memory:// is for tests"
            yield warning("store", "sessions are in memory: a restart signs everybody out", remedy)
    elif workers > 1:
        yield ok("workers", f"{workers} workers share {'the session secret' if kind == 'cookie' else 'one store'}")


def _workers(environ: Mapping[str, str]) -> int:
    """As many as the environment of gunicorn and uvicorn says; 0 if it says nothing."""
    if found := re.search(r"(?:^|\s)(?:-w|--workers)[ =]?(\d+)", environ.get("GUNICORN_CMD_ARGS", "")):
        return int(found[1])
    text = environ.get("WEB_CONCURRENCY", "")
    return int(text) if text.isdecimal() else 0


def of_versions() -> Iterator[Finding]:
    """Which of the packages around us have a known fault in the version that is installed."""
    old = list[str]()
    for package, first_good in KNOWN_FAULTS.items():
        installed = _version(package)
        if installed and installed < first_good:
            old.append(f"{package} {'.'.join(map(str, installed))} (fixed in {'.'.join(map(str, first_good))})")
    if old:
        yield warning(
            "versions",
            f"known faults in: {', '.join(old)}",
            f"pip install --upgrade {' '.join(one.split()[0] for one in old)}",
        )
    else:
        yield ok("versions", "no known fault in the packages around the login")


def _version(package: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in re.findall(r"\d+", version(package))[:3])
    except PackageNotFoundError:
        return ()


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
