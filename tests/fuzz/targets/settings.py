"""Settings as text: what is taken is what browsers and servers read so too, and no fault quotes a secret.

A value is lines `NAME=value`, put over settings that are as they should be. Files are not named by any.
"""

import os
import re
from functools import cache
from itertools import chain
from typing import Final

import ada_url

from tests.attacks import forge
from tests.corpus.redirect_uris import GOOD, INSECURE_BAD, INSECURE_GOOD, NEAR_MISSES
from tests.fuzz.house import house
from tests.fuzz.judges import tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.fuzz.targets.urls import is_registered_form
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.site import HTTPS_URI
from xwms_auth import ConfigError, XWMSConfig
from xwms_auth._core.config.context import Context
from xwms_auth._core.config.env import ENVIRONMENT

USUAL: Final = {
    "XWMS_CLIENT_ID": CLIENT_ID,
    "XWMS_CLIENT_SECRET": CANARY,
    "XWMS_REDIRECT_URI": HTTPS_URI,
    "XWMS_SESSION_SECRET": forge.KEY,
}
SECRET: Final = ("XWMS_CLIENT_SECRET", "XWMS_SESSION_SECRET", "XWMS_SESSION_STORE", "XWMS_REVOCATION_STORE")
_PASSWORD: Final = re.compile(r"[^\s:/@]{8,}(?=@)")
_PATH: Final = re.compile(r"(/[A-Za-z0-9\-._~!$&'()+,;=:@]+)+")
_DAYS: Final = 400 * 86_400

PIECES: Final = (
    *lines_of("pieces", "settings"),
    *(f"\n{names[0]}=".encode() for names in ENVIRONMENT.values()),
    *lines_of("pieces", "urls"),
)


def settings_text(data: bytes) -> None:
    """Settings are taken as they are by every reader, or refused by a `ConfigError` that quotes no secret."""
    environ = {**USUAL, **_lines(data.decode("utf-8", "surrogateescape"))}
    secrets = {text for name in SECRET[:2] for text in environ.get(name, "").split() if len(text) >= 12}
    secrets |= {text for name in SECRET[2:] for text in _PASSWORD.findall(environ.get(name, ""))}
    with house("settings").heard() as lines:
        config, said = _read(environ)
        again = None if config is None else XWMSConfig.from_mapping(environ)
    shown = f"{said}{lines}{config!r}"
    for secret in secrets:
        assert secret not in shown or any(secret in environ[name] for name in environ.keys() - {*SECRET}), shown
    if config is None:
        tally["refused"] += 1
        return
    assert config == again
    _check_addresses(config)
    _check_numbers(config)
    if config.session_keys or config.allow_missing_settings:
        Context.of(config, is_told=True)
    tally["taken"] += 1


def _lines(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name: value for name, _, value in pairs if not name.endswith("_FILE")}


def _read(environ: dict[str, str]) -> tuple[XWMSConfig | None, str]:
    try:
        return XWMSConfig.from_env(environ), ""
    except ConfigError as error:
        return None, f"{error}{error.problems}"


def _check_addresses(config: XWMSConfig) -> None:
    """Every address is spelt as browsers spell it, and no page of ours can lead elsewhere."""
    for uri in config.registered:
        assert is_registered_form(uri.uri, allow_http=config.insecure_allow_http) or config.missing, uri
    api = ada_url.URL(config.api_url)
    assert api.href == config.api_url, config.api_url
    assert (api.username, api.search, api.hash) == ("", "", ""), config.api_url
    for origin in (*config.trusted_origins, *config.login_origins):
        assert ada_url.URL(origin).origin == origin, origin
    paths = [config.login_path, config.logout_path, config.me_path, config.backchannel_path]
    for path in paths:
        assert _PATH.fullmatch(path), path
        assert not {".", ".."}.intersection(path.split("/")), path
    assert not config.callback_paths.intersection(paths[:3]), paths
    home = config.registered[0].origin
    for target, origins in ((config.after_login, (home, *config.trusted_origins)), (config.after_logout, (home,))):
        url = ada_url.URL(target, base=config.registered[0].uri)
        assert url.origin in origins, target
        assert url.pathname not in config.own_paths, target
    if config.site_logo:
        assert ada_url.URL(config.site_logo, base=home).origin == home, config.site_logo
    for store in (config.session_store, config.revocation_store):
        name = store.rpartition("/")[2] if isinstance(store, str) and store.startswith("sqlite:") else ""
        assert "\0" not in name, name
        assert len(os.fsencode(name)) <= 255, name  # NAME_MAX
    assert not re.search(r"[\x00-\x20/\x7f-\uffff]", config.domain), config.domain
    assert re.fullmatch("[a-z0-9]{1,16}", config.cookie_tag), config.cookie_tag


def _check_numbers(config: XWMSConfig) -> None:
    """Every time and number is within the limits of docs/options.md."""
    assert 1 <= config.idle_seconds <= _DAYS
    assert 1 <= config.lifetime_seconds <= _DAYS
    assert config.recheck_seconds == 0 or 30 <= config.recheck_seconds <= _DAYS
    assert config.websocket_recheck_seconds == 0 or 1 <= config.websocket_recheck_seconds <= _DAYS
    assert 0 < config.timeout_seconds <= 60
    assert 1 <= config.max_slow_calls <= 1000
    assert config.logins_per_address == 0 or 10 <= config.logins_per_address <= 100_000
    for key in config.session_keys:
        assert len(key.reveal().encode("utf-8", "surrogatepass")) >= 32


@cache
def _seeds() -> list[bytes]:
    uris = [*chain.from_iterable(NEAR_MISSES.values()), *GOOD]
    seeds = [f"XWMS_REDIRECT_URI={uri}" for uri in uris]
    seeds += [f"XWMS_INSECURE_ALLOW_HTTP=1\nXWMS_REDIRECT_URI={uri}" for uri in (*INSECURE_GOOD, *INSECURE_BAD)]
    return [*(seed.encode("utf-8", "surrogatepass") for seed in seeds), *lines_of("seeds", "settings")]


TARGETS: Final = (Target(run=settings_text, seeds=_seeds, pieces=PIECES, longest=600, figure=100_000),)
