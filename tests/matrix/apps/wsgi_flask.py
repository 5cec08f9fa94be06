"""Flask.

MATRIX_MOUNT mounts it there with Werkzeug's DispatcherMiddleware; MATRIX_PROXY_FIX puts ProxyFix `outside` the login or
`inside` it.
"""

import os

from flask import Flask
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from xwms_auth.flask import XWMSAuth, current_user, login_required

site = Flask(__name__)


@site.get("/")
def home():
    return current_user.display_name or "nobody"


@site.get("/private")
@login_required
def private():
    return current_user.display_name


def trust_the_proxy():
    site.wsgi_app = ProxyFix(site.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1)


where = os.environ.get("MATRIX_PROXY_FIX")
if where == "inside":
    trust_the_proxy()
XWMSAuth(site)
if where == "outside":
    trust_the_proxy()
app = site
if mount := os.environ.get("MATRIX_MOUNT"):
    app = DispatcherMiddleware(NotFound(), {mount: site})
