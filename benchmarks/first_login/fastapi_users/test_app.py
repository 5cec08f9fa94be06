from app import User, app, current_user
from fastapi.testclient import TestClient


def test_home():
    app.dependency_overrides[current_user] = lambda: User(name="Anna")
    assert TestClient(app).get("/").json() == {"hello": "Anna"}
