"""WSGI without a framework."""

from xwms_auth.wsgi import XWMSAuth, current_user, login_required


def answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [(current_user(environ).display_name or "nobody").encode()]


private = login_required(answer)


def site(environ, start_response):
    return (private if environ["PATH_INFO"] == "/private" else answer)(environ, start_response)


app = XWMSAuth(site)
