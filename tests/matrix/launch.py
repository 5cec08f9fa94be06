"""Starts a server that has no command of its own: `python launch.py KIND MODULE:APP PORT`, in a cell's environment."""

import sys
from importlib import import_module

kind, target, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
HOST = "127.0.0.1"
del sys.path[0]  # the modules beside this one are no part of the application

if kind == "gevent_pywsgi":
    from gevent import monkey

    monkey.patch_all()
if kind == "eventlet":
    import eventlet

    eventlet.monkey_patch()


def load():
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def werkzeug():
    from werkzeug.serving import run_simple

    run_simple(HOST, port, load())


def werkzeug_processes():
    from werkzeug.serving import run_simple

    run_simple(HOST, port, load(), processes=3)


def wsgiref():
    from wsgiref.simple_server import make_server

    make_server(HOST, port, load()).serve_forever()


def dev():
    from xwms_auth.cli import serve_app

    sys.argv = ["serve_app", target, str(port)]
    serve_app.main()


def gevent_pywsgi():
    from gevent.pywsgi import WSGIServer

    WSGIServer((HOST, port), load()).serve_forever()


gevent_unpatched = gevent_pywsgi


def gevent_patched_late():
    app = load()
    from gevent import monkey
    from gevent.pywsgi import WSGIServer

    monkey.patch_all()
    WSGIServer((HOST, port), app).serve_forever()


def eventlet():
    import eventlet as green
    from eventlet import wsgi

    wsgi.server(green.listen((HOST, port)), load())


def bjoern():
    import bjoern as server

    server.run(load(), HOST, port)


def meinheld():
    from meinheld import server

    server.listen((HOST, port))
    server.run(load())


def _uvicorn(app):
    import uvicorn

    uvicorn.run(app, host=HOST, port=port)


def a2wsgi():
    from a2wsgi import WSGIMiddleware

    _uvicorn(WSGIMiddleware(load()))


def asgiref():
    from asgiref.wsgi import WsgiToAsgi

    _uvicorn(WsgiToAsgi(load()))


def asgi_on_waitress():
    from a2wsgi import ASGIMiddleware
    from waitress import serve

    serve(ASGIMiddleware(load()), host=HOST, port=port)


def tornado():
    from concurrent.futures import ThreadPoolExecutor

    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.wsgi import WSGIContainer

    HTTPServer(WSGIContainer(load(), ThreadPoolExecutor(4))).listen(port, HOST)
    IOLoop.current().start()


def pyruvate():
    import pyruvate as server

    server.serve(load(), f"{HOST}:{port}", 4)


def fastwsgi():
    import fastwsgi as server

    server.run(wsgi_app=load(), host=HOST, port=port)


def fastpysgi():
    import fastpysgi as server

    server.run(load(), host=HOST, port=port)


def rocket3():
    from rocket3 import Rocket3

    Rocket3((HOST, port), "wsgi", {"wsgi_app": load()}).start()


def netius():
    from netius.servers import WSGIServer

    WSGIServer(load()).serve(host=HOST, port=port)


def wsgiserver():
    import wsgiserver as server

    server.WSGIServer(load(), host=HOST, port=port).start()


def flup_fcgi():
    from flup.server.fcgi import WSGIServer

    WSGIServer(load(), bindAddress=(HOST, port)).run()


def flup_scgi():
    from flup.server.scgi import WSGIServer

    WSGIServer(load(), scriptName="", bindAddress=(HOST, port)).run()


def cgi():
    from wsgiref.handlers import CGIHandler

    CGIHandler().run(load())


globals()[kind]()
