"""Dash, which is a Flask application with a page of its own: guarded by path."""

from dash import Dash, html
from flask import Flask

from xwms_auth.flask import XWMSAuth, current_user, login_required

server = Flask(__name__)
site = Dash(__name__, server=server, url_base_pathname="/dash/")
site.layout = html.Div("dash")


@server.get("/")
def home():
    return current_user.display_name or "nobody"


@server.get("/private")
@login_required
def private():
    return current_user.display_name


XWMSAuth(server)
app = server
