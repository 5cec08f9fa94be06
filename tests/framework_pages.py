"""Runs each application of docs/frameworks.md: `python -m tests.framework_pages` prints what went wrong, as JSON.

In a process of its own, since Django has one settings object, and Sanic one registry and a setup of logging.
"""

import json
import os
import sys
import traceback
from contextlib import nullcontext
from types import ModuleType

from tests.test_docs import APPLICATIONS, client_of, log_in
from tests.tools.fake_xwms import FakeXWMS
from tests.tools.site import FROM_HERE, HTTPS_URI, PROGRAM
from xwms_auth._core.config.env import ENVIRONMENT


def visit(where: str, code: str) -> None:
    """A page that needs a person, before and after a login."""
    with FakeXWMS() as fx:
        os.environ.update({ENVIRONMENT[name][0]: value for name, value in fx.options(redirect_uris=HTTPS_URI).items()})
        module = sys.modules["app"] = ModuleType("app")
        exec(compile(code, where, "exec"), vars(module))
        client = client_of(module.app)
        with client if "from sanic" in code else nullcontext():  # which serves nothing before it was started
            refused = client.get("/private?page=2", headers=FROM_HERE)
            assert refused.headers["location"] == "/xwms/auth?next=/private%3Fpage%3D2", refused.text
            program = client.get("/private", headers=PROGRAM)
            assert (program.status_code, program.json()["code"]) == (401, "login_required")

            back = log_in(client, fx, refused.headers["location"])
            assert (back.status_code, back.headers["location"]) == (303, "/private?page=2")
            page = client.get("/private", headers=FROM_HERE)
            assert (page.status_code, page.headers["cache-control"]) == (200, "private, no-store")
            is_html = page.headers["content-type"].startswith("text/html")
            assert ("Anna &lt;3" if is_html else "Anna <3") in page.text


def main() -> None:
    found: dict[str, str] = {}
    for where, code in APPLICATIONS:
        if where.startswith("frameworks.md:"):
            found[where] = ""
            try:
                visit(where, code)
            except Exception:  # noqa: BLE001  the test shows it
                found[where] = traceback.format_exc()
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
