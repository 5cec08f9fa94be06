import responses
from app import app, xwms
from flask_dance.consumer.storage import MemoryStorage


@responses.activate
def test_home(monkeypatch):
    monkeypatch.setattr(xwms, "storage", MemoryStorage({"access_token": "of-a-test"}))
    responses.get(f"{app.config['XWMS_URL']}/oauth/userinfo", json={"name": "Anna"})
    assert app.test_client().get("/").text == "Hello Anna"
