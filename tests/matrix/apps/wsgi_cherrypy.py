"""CherryPy's tree as a WSGI application."""

import cherrypy

from xwms_auth.wsgi import XWMSAuth, current_user, require_user


class Root:
    @cherrypy.expose
    def index(self):
        return current_user.display_name or "nobody"

    @cherrypy.expose
    def private(self, **query):
        return require_user(cherrypy.request.wsgi_environ).display_name


cherrypy.config.update({"engine.autoreload.on": False, "environment": "embedded"})
app = XWMSAuth(cherrypy.Application(Root(), ""))
