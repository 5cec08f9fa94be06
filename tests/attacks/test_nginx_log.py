"""LP-03, RP-05: nginx with the recipe of docs/access-logs.md writes no token, answering or not."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.attacks.real_servers import Line, listening
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.nginx import BEGINNING
from tests.tools.requires import program
from tests.tools.site import CALLBACK, HTTPS_URI, Site
from xwms_auth.cli.app_process import wait_until_up
from xwms_auth.cli.ports import any_free

RECIPE = Path(__file__).parents[2] / "docs" / "access-logs.md"
TOKEN = "canary-token-0123456789"
MAIN = (
    BEGINNING
    + """
    {formats}
    server {{
        listen 127.0.0.1:{port};
        {callback}
        location / {{ proxy_pass {app}; proxy_set_header Host $http_host; }}
    }}
}}
"""
)


def logs_of(folder: Path, app: str, *, recipe: bool, referer: bool = False) -> dict[str, str]:
    """What nginx writes in each of its logs about three callbacks, a page, and two pages with a `Referer`."""
    formats, callback = re.findall(r"```nginx\n(.*?)```", RECIPE.read_text(), flags=re.S)
    port = any_free()
    written = MAIN.format(folder=folder, port=port, app=app, formats=formats, callback=callback if recipe else "")
    written = written.replace("/var/log/nginx", str(folder)).replace("http://127.0.0.1:8000", app)
    if not recipe:
        written = written.replace("access.log without_tokens", "access.log combined")
    (folder / "nginx.conf").write_text(written)
    command = [program("nginx", "/usr/sbin/nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command) as process:
        try:
            wait_until_up(process, port=port)
            line = Line(("127.0.0.1", port))
            line.request(f"{CALLBACK}?token={TOKEN}".encode())
            line.request(f"{CALLBACK.replace('T', '%54')}?token={TOKEN}".encode())
            line.request(f"http://app.example{CALLBACK}?token={TOKEN}".encode())
            line.request(b"/hello?token=kept")
            for sent in (f"{HTTPS_URI}?token={TOKEN}", f"{HTTPS_URI}-not?page=3") if referer else ():
                line.request(b"/", f"Referer: {sent}".encode())
        finally:
            process.terminate()
    return {name: (folder / name).read_text() for name in ("access.log", "error.log")}


@pytest.mark.parametrize("alive", [True, False], ids=["answering", "down"])
def test_lp_03_nginx_with_the_recipe_writes_no_token(tmp_path, alive):
    """LP-03, RP-05"""
    with FakeXWMS() as fx, listening(Site("flask", fx)) as app:
        there = f"http://127.0.0.1:{app.address[1] if alive else any_free()}"
        # No browser sends a Referer of a callback, which asks for none; the error log would have it.
        logs = logs_of(tmp_path, there, recipe=True, referer=alive)
    assert TOKEN not in logs["access.log"] + logs["error.log"]
    assert logs["access.log"].count(f'"GET {CALLBACK} HTTP/1.1"') == 3
    assert "/hello?token=kept" in logs["access.log"]
    if alive:
        assert f'"{HTTPS_URI}"' in logs["access.log"]
        assert f'"{HTTPS_URI}-not?page=3"' in logs["access.log"]


def test_without_the_recipe_it_would_be_in_both_logs(tmp_path):
    """So that the test above is about something."""
    logs = logs_of(tmp_path, f"http://127.0.0.1:{any_free()}", recipe=False)
    assert TOKEN in logs["access.log"]
    assert TOKEN in logs["error.log"]
