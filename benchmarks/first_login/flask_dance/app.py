from flask import Flask, redirect, session, url_for
from flask_dance.consumer import OAuth2ConsumerBlueprint
from markupsafe import escape

app = Flask(__name__)
app.config.from_prefixed_env()
xwms = OAuth2ConsumerBlueprint(
    "xwms",
    __name__,
    base_url=app.config["XWMS_URL"],
    token_url=f"{app.config['XWMS_URL']}/oauth/token",
    authorization_url=f"{app.config['XWMS_URL']}/oauth/authorize",
    redirect_to="home",
    scope=["openid", "profile"],
    use_pkce=True,
    code_challenge_method="S256",
)
xwms.from_config["client_id"] = "XWMS_CLIENT_ID"
xwms.from_config["client_secret"] = "XWMS_CLIENT_SECRET"
app.register_blueprint(xwms, url_prefix="/login")


@app.get("/")
def home():
    if not xwms.session.authorized:
        return redirect(url_for("xwms.login"))
    return f"Hello {escape(xwms.session.get('/oauth/userinfo').json()['name'])}"


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("home"))
