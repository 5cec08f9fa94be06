from app import app
from starlette.testclient import TestClient


def test_home(xwms):
    client = TestClient(app)
    xwms.login(client, name="Anna")
    assert client.get("/").text == "Hello Anna"
