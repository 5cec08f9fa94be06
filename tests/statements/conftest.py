"""Each statement on Flask and on Starlette."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.statements.story import Credentials, Story, told


@pytest.fixture(params=["flask", "asgi"])
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Story]:
    """A local XWMS with nothing in it but what every one has."""
    with told(request.param, tmp_path) as begun:
        yield begun


@pytest.fixture
def credentials(story: Story) -> Credentials:
    """Those of a client that somebody has just made: account, plan, client."""
    story.dashboard.register()
    story.dashboard.activate_plan()
    return story.dashboard.create_client()
