from app import app, users
from flask_login import FlaskLoginClient


def test_home():
    app.test_client_class = FlaskLoginClient
    client = app.test_client(user=users["Anna de Vries"])
    assert client.get("/").text == "Hello Anna de Vries"
