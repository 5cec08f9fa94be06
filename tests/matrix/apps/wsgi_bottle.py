"""Bottle."""

from bottle import Bottle, request

from xwms_auth.wsgi import XWMSAuth, current_user, require_user

site = Bottle()


@site.get("/")
def home():
    return current_user.display_name or "nobody"


@site.get("/private")
def private():
    return require_user(request.environ).display_name


app = XWMSAuth(site)
