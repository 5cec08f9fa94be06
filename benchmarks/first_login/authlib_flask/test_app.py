from app import app


def test_home():
    client = app.test_client()
    with client.session_transaction() as session:
        session["user"] = {"name": "Anna"}
    assert client.get("/").text == "Hello Anna"
