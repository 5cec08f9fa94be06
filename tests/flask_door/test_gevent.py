"""gevent: people log in over TLS, whenever the standard library is patched, and a slow XWMS stops nobody else."""

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.browser.servers import self_signed
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import FROM_HERE, LOGIN, PROGRAM, log_in

MORE_THAN_LOOKUPS = 12
PATIENCE = 20.0


@contextmanager
def served(fx: FakeXWMS, patched: str, trusted: Path) -> Iterator[str]:
    """The address of the application on gevent's server."""
    command = [sys.executable, "-m", "tests.flask_door.gevent_app", patched, json.dumps(fx.options(timeout=PATIENCE))]
    environ = {**os.environ, "SSL_CERT_FILE": str(trusted), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as app:
        try:
            assert app.stdout
            yield f"http://localhost:{app.stdout.readline().strip()}"
        finally:
            app.terminate()


@pytest.mark.more_packages
@pytest.mark.parametrize("patched", ["first", "last"])
def test_people_log_in_while_xwms_keeps_others_waiting(tmp_path: Path, patched: str):
    certificate = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.certificate, certificate.key)
    with (
        FakeXWMS(tls=tls) as fx,
        served(fx, patched, certificate.certificate) as there,
        httpx2.Client(base_url=there, timeout=PATIENCE) as client,
        ThreadPoolExecutor(MORE_THAN_LOOKUPS) as others,
    ):
        assert log_in(client, fx).status_code == 303
        assert client.get("/who", headers=PROGRAM).text == "17"
        with fx.hold("sign-token") as answered:
            waiting = [
                others.submit(httpx2.get, there + LOGIN, headers=FROM_HERE, timeout=PATIENCE)
                for _ in range(MORE_THAN_LOOKUPS)
            ]
            fx.wait_for_calls("sign-token", 3)
            assert client.get("/").text == "home"
            assert not any(start.done() for start in waiting)
            answered.set()
        assert {start.result().status_code for start in waiting} <= {302, 503, 504}
