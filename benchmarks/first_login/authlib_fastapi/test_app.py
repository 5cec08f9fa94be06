from app import app, current_user
from fastapi.testclient import TestClient


def test_home():
    app.dependency_overrides[current_user] = lambda: {"name": "Anna"}
    assert TestClient(app).get("/").json() == {"hello": "Anna"}
