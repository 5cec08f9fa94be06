from flask import Flask
from markupsafe import escape

from xwms_auth.flask import XWMSAuth, require_user

app = Flask(__name__)
XWMSAuth(app)


@app.get("/")
def home():
    return f"Hello {escape(require_user().display_name)}"
