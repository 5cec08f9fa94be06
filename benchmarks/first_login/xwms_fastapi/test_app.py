from app import app
from fastapi.testclient import TestClient


def test_home(xwms):
    client = TestClient(app)
    xwms.login(client, name="Anna")
    assert client.get("/").json() == {"hello": "Anna"}
