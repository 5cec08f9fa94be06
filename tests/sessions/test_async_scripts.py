"""Sessions in an async script, which opens its store once and closes it at the end."""

import anyio
import pytest

from tests.tools.site import HTTPS_URI
from xwms_auth import AsyncXWMSSessions, XWMSConfig


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/sessions.sqlite3"])
def test_a_script_lists_and_ends_sessions_and_closes_what_it_opened(store, tmp_path):
    config = XWMSConfig(
        client_id="id",
        client_secret="secret",
        redirect_uris=HTTPS_URI,
        session_secret="0123456789abcdefghijklmnopqrstuv",
        session_store=store.format(tmp_path),
    )

    async def script():
        async with AsyncXWMSSessions(config) as sessions:
            assert await sessions.list("1001") == ()
            await sessions.revoke_all("1001")

    anyio.run(script)
