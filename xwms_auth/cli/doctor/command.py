"""The command `doctor`: every check, a line each, with what to do."""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from xwms_auth import XWMSConfig
from xwms_auth._core.base.errors import ConfigError
from xwms_auth.cli.doctor import application, first_contact, live, servers, settings
from xwms_auth.cli.doctor.fetching import site_origin
from xwms_auth.cli.doctor.findings import Finding, fault, skipped
from xwms_auth.cli.loading import AppNotFound, load_app
from xwms_auth.cli.terminal import printable, progress, style

_COLOURS: Final = {"ok": "green", "fault": "red", "warning": "yellow", "skipped": "blue"}


def _origin(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else site_origin(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(short_help="Check everything that a login needs.")
@click.argument("target", metavar="[MODULE:APP]", required=False)
@click.option(
    "--live",
    "site",
    metavar="URL",
    callback=_origin,
    help="Check the running site too, as a browser meets it: https://your.site",
)
@click.option(
    "--first-contact",
    "meets",
    is_flag=True,
    help="Log in at XWMS, led by pages on this machine, and print what XWMS does where its documentation is silent.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, target: str | None, site: str | None, meets: bool, as_json: bool) -> None:
    """Check the settings, the session store, XWMS, the application and the running site.

    Without MODULE:APP the settings are those of the environment, otherwise those of the application. Nobody is logged
    in, unless with --first-contact. Exits with 1 if a login fails, or would be unsafe.
    """
    findings = list[Finding]()
    with progress("Checking"):
        for finding in _check(target, site, meets=meets):
            findings.append(finding)
            if not as_json:
                _tell(finding)
    faults = sum(finding.state == "fault" for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": not faults, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        click.echo(f"{faults} to mend." if faults else "A login works, as far as this can tell.")
    raise SystemExit(1 if faults else 0)


def _check(target: str | None, site: str | None, *, meets: bool) -> Iterator[Finding]:
    yield from settings.of_environment(os.environ)
    yield from settings.of_versions()
    app, configs = None, list[XWMSConfig]()
    try:
        if target is None:
            configs = [XWMSConfig.from_env()]
        else:
            sys.path.insert(0, str(Path.cwd()))
            app = load_app(target)
            configs = application.configs_of(app)
    except ConfigError as error:
        yield from settings.of_faults(error, os.environ)
    except AppNotFound as error:
        remedy = "name the application that has the login, also where it is mounted in another one"
        yield fault("application", str(error), remedy)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the application's own: told, and its traceback shown
        traceback.print_exc()
        yield fault("application", f"it raises {type(error).__name__} when it is imported", "mend it first")
    for config in configs:
        yield from settings.of_missing(config)
    configs = [config for config in configs if not config.missing]
    if not configs:
        yield skipped("everything else", "it needs valid settings")
        return
    for config in configs:
        yield from settings.of_config(config, os.environ)
        yield from servers.of_store(config)
        yield from servers.of_xwms(config)
    if app is not None and target is not None:
        yield from application.of_application(app, target, configs)
    if site is not None:
        with_site = [config for config in configs if any(site == uri.origin for uri in config.registered)]
        yield from live.of_site((with_site or configs)[0], site)
    if meets:
        for config in configs:
            yield from first_contact.of_first_contact(config)


def _tell(finding: Finding) -> None:
    state = style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
    # Parts of both come from servers; the line breaks are ours.
    text, remedy = ("\n".join(map(printable, text.split("\n"))) for text in (finding.text, finding.remedy))
    click.echo(f"{state} {finding.subject}: {text}")
    if remedy:
        click.echo(f"{'':<8} -> " + remedy.replace("\n", f"\n{'':<12}"))
