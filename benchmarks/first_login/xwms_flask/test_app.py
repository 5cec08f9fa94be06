from app import app


def test_home(xwms):
    client = app.test_client()
    xwms.login(client, name="Anna")
    assert client.get("/").text == "Hello Anna"
