"""DS-01: nginx with the recipe of docs/client-addresses.md tells who is there, whatever visitors send."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.attacks.real_servers import Line, listening
from tests.tools.nginx import BEGINNING
from tests.tools.requires import program
from tests.tools.site import LOGIN, Site
from xwms_auth.cli.app_process import wait_until_up
from xwms_auth.cli.ports import any_free

RECIPE = Path(__file__).parents[2] / "docs" / "client-addresses.md"
ATTACKER, PERSON = "203.0.113.7", "2001:db8:5::1"
# Visitors at addresses of the test's choice reach nginx as through a load balancer that speaks PROXY.
MAIN = (
    BEGINNING
    + """
    access_log off;
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        set_real_ip_from 127.0.0.1;
        real_ip_header proxy_protocol;
        {location}
    }}
}}
"""
)


@contextmanager
def behind_nginx(folder: Path, site: Site, location: str) -> Iterator[Line]:
    """The site behind nginx with these lines, of which the address of the application is another one here."""
    with listening(site) as app:
        port = any_free()
        location = location.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{app.address[1]}")
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, port=port, location=location))
        command = [program("nginx", "/usr/sbin/nginx"), "-e", "stderr", "-p", f"{folder}", "-c", f"{folder}/nginx.conf"]
        with subprocess.Popen(command) as process:
            try:
                wait_until_up(process, port=port)
                yield Line(("127.0.0.1", port))
            finally:
                process.terminate()


def start(line: Line, address: str, *headers: str) -> int:
    """The status of a start by somebody at this address."""
    family, here = ("TCP6", "::1") if ":" in address else ("TCP4", "127.0.0.1")
    fields = ["Host: app.example", "Accept: application/json", "Connection: close", *headers]
    said = [f"PROXY {family} {address} {here} 50000 443", f"GET {LOGIN} HTTP/1.1", *fields, "", ""]
    return line.send("\r\n".join(said).encode()).status


def test_visitors_are_told_apart_and_none_of_them_says_who_it_is(tmp_path, make_site):
    site = make_site(logins_per_address=10)
    if site.edge == "flask":
        site.app.wsgi_app = ProxyFix(site.app.wsgi_app, x_for=1)
    (recipe,) = re.findall(r"```nginx\n(.*?)```", RECIPE.read_text(), flags=re.S)
    with behind_nginx(tmp_path, site, recipe) as line:
        spoofed = [start(line, ATTACKER, f"X-Forwarded-For: 198.51.100.{number}") for number in range(13)]
        assert spoofed == [302] * 10 + [429] * 3
        assert start(line, PERSON, f"X-Forwarded-For: {ATTACKER}") == 302


@pytest.mark.parametrize("edge", ["flask"])
def test_a_proxy_that_passes_nothing_on_makes_one_of_all_and_the_log_says_so(tmp_path, make_site, caplog):
    site = make_site(logins_per_address=10)
    location = "location / { proxy_pass http://127.0.0.1:8000; proxy_set_header Host $http_host; }"
    with behind_nginx(tmp_path, site, location) as line:
        assert [start(line, ATTACKER, "X-Forwarded-For: 198.51.100.1") for _ in range(20)] == [302] * 20
        assert start(line, PERSON) == 302
    assert "address_of_a_proxy" in caplog.text
