"""Every store of the package, plain and async, against the contract that is published for stores of one's own."""

import pytest

from tests.stores.conftest import opened
from tests.tools.redis_server import redis_server
from xwms_auth._core.base.store_protocols import RevocationStore, SessionStore
from xwms_auth.testing.revocation_contract import RevocationContract
from xwms_auth.testing.store_contract import StoreContract


class TestMemory(StoreContract):
    def make_store(self) -> SessionStore:
        return opened(session_store="memory://")


class TestCookie(StoreContract):
    has_list = reaches = follows_now = knows_ids = False

    def make_store(self) -> SessionStore:
        return opened()


class OfAPlace:
    """A store in a place that can be opened twice."""

    options: dict[str, str]
    is_async: bool

    def make_store(self) -> SessionStore:
        return opened(is_async=self.is_async, **self.options)

    def open_again(self, store: SessionStore) -> SessionStore:
        return self.make_store()


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
class InBothColours(OfAPlace):
    @pytest.fixture(autouse=True)
    def _colour(self, is_async: bool) -> None:
        self.is_async = is_async


class TestSQLite(InBothColours, StoreContract):
    @pytest.fixture(autouse=True)
    def _file(self, sqlite_url: str) -> None:
        self.options = {"session_store": sqlite_url}


class TestRedis(InBothColours, StoreContract):
    follows_now = False

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.options = {"session_store": redis_url}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("cluster"), cluster=True) as server:
        server.client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        yield server


class TestRedisCluster(InBothColours, StoreContract):
    follows_now = False

    @pytest.fixture(autouse=True)
    def _server(self, cluster) -> None:
        while cluster.client.execute_command("CLUSTER INFO").get("cluster_state") != "ok":
            pass
        cluster.client.flushall()
        self.options = {"session_store": f"redis+cluster://127.0.0.1:{cluster.port}"}


class TestCookieWithSQLite(OfAPlace, StoreContract):
    """Plain, and with Redis async: what the place does in the other colour is tested above."""

    has_list = follows_now = knows_ids = is_async = False

    @pytest.fixture(autouse=True)
    def _file(self, sqlite_url: str) -> None:
        self.options = {"revocation_store": sqlite_url}


class TestCookieWithRedis(OfAPlace, StoreContract):
    has_list = follows_now = knows_ids = False
    is_async = True

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.options = {"revocation_store": redis_url}


class TestRevocationsInMemory(RevocationContract):
    def make_store(self) -> RevocationStore:
        return opened(session_store="memory://")


class TestRevocationsInSQLite(InBothColours, RevocationContract):
    @pytest.fixture(autouse=True)
    def _file(self, sqlite_url: str) -> None:
        self.options = {"session_store": sqlite_url}


class TestRevocationsInRedis(InBothColours, RevocationContract):
    follows_now = False

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.options = {"session_store": redis_url}
