"""A client secret that changes: a secret manager, an XWMS that takes some secrets, what was sent and logged."""

import pytest

from tests.tools.fake_xwms import FakeXWMS
from tests.tools.faults import Behaviour, Exchange, Reply, refusal

OLD, NEW = "the-old-client-secret", "the-new-client-secret"


class Manager:
    """A secret manager: each reading gives the next value, and the last one from then on."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.reads = 0

    def __call__(self) -> str:
        self.reads += 1
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


def only(*secrets: str) -> Behaviour:
    """XWMS as it answers when these are the client's secrets."""

    def answer(at: Exchange) -> Reply:
        if at.request.all("X-Client-Secret")[0] in secrets:
            return at.fx.usual(at)
        return refusal(401, "Invalid client credentials: the client secret is wrong.")

    return answer


def sent(fx: FakeXWMS) -> list[str]:
    """The secrets of the requests, in order."""
    return [request.all("X-Client-Secret")[0] for request in fx.requests]


def events_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The events about the secret, in order."""
    lines = [record.getMessage() for record in caplog.records if record.name == "xwms_auth"]
    return [line.split()[0] for line in lines if line.startswith("client_secret_")]
