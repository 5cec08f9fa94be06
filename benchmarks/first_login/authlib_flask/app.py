from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for
from markupsafe import escape

app = Flask(__name__)
app.config.from_prefixed_env()
oauth = OAuth(app)
oauth.register(
    "xwms",
    server_metadata_url=app.config["XWMS_METADATA_URL"],
    client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
)


@app.get("/")
def home():
    if "user" not in session:
        return redirect(url_for("login"))
    return f"Hello {escape(session['user']['name'])}"


@app.get("/login")
def login():
    return oauth.xwms.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    session["user"] = oauth.xwms.authorize_access_token()["userinfo"]
    return redirect(url_for("home"))


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("home"))
