"""What the matrix runs: each cell is one application, on one server, with one store, behind one proxy or none.

Every axis is run whole against a usual partner on the others; stores take turns along the axes of servers, frameworks
and proxies, so that each meets many.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle

from tests.matrix.servers import ASGI, GATEWAYS, WSGI, Server

PYTHONS = ("3.11", "3.12", "3.13")
STORES = ("cookie", "memory", "sqlite", "redis", "cookie+redis", "redis-unix", "cookie+sqlite")
_SHARED = tuple(store for store in STORES if store != "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`group` and `name` tell it apart, and are what `make matrix ARGS=…` looks in.

    `prefixes`: one application for each. `hosts`: each has its redirect URI. `copies`: so many servers of one
    application. `arguments` are added to the server's command, `options` to the application's variables.
    `says`: what is wrong with this combination cannot be mended by us, and the log has to name it by this event.
    `unable` says why it is known that this cannot work, through no fault of ours; it is shown, and not counted.
    """

    group: str
    name: str
    server: str
    app: str
    packages: str = ""
    store: str = "cookie"
    proxy: str = ""
    tls: bool = False
    http2: bool = False
    prefixes: tuple[str, ...] = ("",)
    hosts: tuple[str, ...] = ("localhost",)
    copies: int = 1
    arguments: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    python: str = PYTHONS[0]
    resolution: str = "highest"
    says: str = ""
    unable: str = ""

    @property
    def title(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def runs_on(self) -> Server:
        return (ASGI | GATEWAYS)[self.server] if self.app.startswith("asgi") else (WSGI | GATEWAYS)[self.server]


APPS = {
    "asgi_bare": "",
    "asgi_starlette": "xwms-auth[starlette]",
    "asgi_fastapi": "xwms-auth[fastapi]",
    "asgi_litestar": "litestar",
    "asgi_quart": "quart",
    "asgi_falcon": "falcon",
    "asgi_blacksheep": "blacksheep",
    "asgi_django": "django",
    "asgi_sanic": "sanic",
    "asgi_nicegui": "nicegui",
    "asgi_fasthtml": "python-fasthtml",
    "asgi_connexion": "connexion[uvicorn]",
    "asgi_ravyn": "ravyn",
    "asgi_lilya": "lilya",
    "asgi_microdot": "microdot",
    "asgi_emmett55": "emmett55",
    "asgi_flama": "flama[pydantic]",
    "asgi_muffin": "muffin",
    "asgi_panther": "panther",
    "asgi_socketio": "python-socketio xwms-auth[starlette]",
    "asgi_baize": "baize",
    "asgi_kui": "kui",
    "asgi_responder": "responder",
    "wsgi_flask": "xwms-auth[flask]",
    "wsgi_bare": "",
    "wsgi_django": "django",
    "wsgi_bottle": "bottle",
    "wsgi_falcon": "falcon",
    "wsgi_pyramid": "pyramid setuptools<80",
    "wsgi_cherrypy": "cherrypy",
    "wsgi_dash": "dash xwms-auth[flask]",
}
"""Each application in `apps/`, and the packages that it needs."""

WEBSOCKETS = {
    f"asgi_{name}"
    for name in "bare starlette fastapi litestar quart falcon blacksheep sanic lilya microdot socketio".split()
}
"""The applications that have a websocket."""

_UNABLE = {
    "asgiref-uvicorn": "asgiref's WsgiToAsgi loses answers by itself, also those of a bare function",
    "fastpysgi": "fastpysgi 0.6 crashes by itself (signal 11) with a bare coroutine that awaits a sleep",
    "socketify": "socketify hands over the query with its question mark, which ASGI does not have",
}


def _frameworks() -> Iterator[Cell]:
    stores = cycle(STORES)
    for app in APPS:
        kind, _, name = app.partition("_")
        server = "uvicorn-httptools-uvloop" if kind == "asgi" else "waitress"
        yield Cell(group=f"{kind}-frameworks", name=name, app=app, server=server, store=next(stores))


def _servers() -> Iterator[Cell]:
    for group, servers, app in (("asgi-servers", ASGI, "asgi_starlette"), ("wsgi-servers", WSGI, "wsgi_flask")):
        stores, shared = cycle(STORES), cycle(_SHARED)
        for name, server in servers.items():
            store = next(shared if server.processes else stores)
            unable = _UNABLE.get(name, "")
            yield Cell(
                group=group, name=name, app=app, server=name, store=store, tls=server.tls, http2=server.http2,
                unable=unable, python="system" if name == "mod-wsgi-express" else PYTHONS[0],
            )  # fmt: skip


_FLASK, _STARLETTE, _FASTAPI = "wsgi_flask", "asgi_starlette", "asgi_fastapi"
_TLS = {"nginx-chain", "nginx-unix-socket", "nginx-small-buffer", "nginx-two-servers"}


def _proxies() -> Iterator[Cell]:
    """Each form in front of both doors, or of the one that it is about."""
    stores = cycle(_SHARED)

    def cell(proxy: str, app: str, server: str, name: str = "", **more: object) -> Cell:
        more.setdefault("tls", "tls" in proxy or proxy in _TLS)
        more.setdefault("http2", "http2" in proxy)
        more.setdefault("store", next(stores))
        door = "flask" if app == _FLASK else app.partition("_")[2]
        return Cell(group="proxies", name=name or f"{proxy}-{door}", proxy=proxy, app=app, server=server, **more)  # type: ignore[arg-type]

    for proxy in (
        "nginx", "nginx-without-x-forwarded", "nginx-host-lost", "nginx-host-without-port", "nginx-http10-upstream",
        "nginx-keepalive-upstream", "nginx-tls", "nginx-tls-without-x-forwarded", "nginx-tls-http2",
        "nginx-underscores", "nginx-unbuffered", "nginx-gzip", "nginx-cache", "nginx-chain", "haproxy",
        "haproxy-tls-http2", "apache", "apache-host-lost", "apache-tls-http2", "caddy", "caddy-tls", "lighttpd",
        "varnish", "nghttpx-tls-http2",
    ):  # fmt: skip
        yield cell(proxy, _FLASK, "gunicorn-gthread")
        yield cell(proxy, _STARLETTE, "uvicorn-httptools-uvloop")
    for where in ("inside", "outside"):
        fix = {"MATRIX_PROXY_FIX": where}
        yield cell("nginx-tls", _FLASK, "gunicorn-gthread", f"nginx-tls-proxyfix-{where}", options=fix)
    for server, arguments in (("uvicorn-h11", "--uds {socket}"), ("gunicorn-asgi", ""), ("granian", "--uds {socket}")):
        name = f"nginx-unix-socket-{server}"
        yield cell("nginx-unix-socket", _STARLETTE, server, name, arguments=arguments)
    yield cell("nginx-unix-socket", _STARLETTE, "hypercorn-asyncio", "nginx-unix-socket-hypercorn")
    yield cell("nginx-unix-socket", _STARLETTE, "daphne", "nginx-unix-socket-daphne", arguments="-u {socket}")
    yield cell("nginx-unix-socket", _FLASK, "gunicorn-gthread", "nginx-unix-socket-gunicorn")
    waitress = "--unix-socket {socket}"
    yield cell("nginx-unix-socket", _FLASK, "waitress", "nginx-unix-socket-waitress", arguments=waitress)
    for flow, store in (("oauth2", "cookie"), ("oauth2", "cookie+redis"), ("sign-token", "cookie")):
        for app, server in ((_FLASK, "gunicorn-gthread"), (_STARLETTE, "uvicorn-h11")):
            name = f"nginx-small-buffer-{flow}-{store}-{app.partition('_')[2]}"
            yield cell("nginx-small-buffer", app, server, name, store=store, options={"XWMS_FLOW": flow})
    for app, server in ((_FLASK, "gunicorn-gthread"), (_STARLETTE, "uvicorn-h11")):
        door = app.partition("_")[2]
        yield cell("nginx-two-hosts", app, server, hosts=("shop.test", "desk.test"), tls=True)
        yield cell("nginx-two-servers", app, server, copies=2)
        yield cell(
            "nginx-two-apps", app, server, f"nginx-two-apps-{door}", prefixes=("/shop", "/desk"), tls=True,
            options={"MATRIX_MOUNT": "{prefix}", "XWMS_COOKIE_TAG": "{tag}"},
        )  # fmt: skip
    yield cell("nginx-uwsgi", _FLASK, "uwsgi-protocol")
    yield cell("nginx-uwsgi", _FLASK, "gunicorn-uwsgi-protocol", "nginx-uwsgi-gunicorn")
    yield cell("nginx-fastcgi", _FLASK, "fastcgi-flup")
    yield cell("nginx-scgi", _FLASK, "scgi-flup")
    yield cell("apache-cgi", _FLASK, "cgi")


_SHOP = ("/shop",)


def _prefixes() -> Iterator[Cell]:
    """An application below /shop, with all paths at their defaults: {the proxy keeps, strips} x who is told."""

    def cell(name: str, app: str, server: str, proxy: str = "", **more: object) -> Cell:
        return Cell(group="prefixes", name=name, app=app, server=server, proxy=proxy, prefixes=_SHOP, **more)  # type: ignore[arg-type]

    root_path = {
        "uvicorn-h11": "--root-path /shop",
        "hypercorn-asyncio": "--root-path /shop",
        "daphne": "--root-path /shop",
        "granian": "--url-path-prefix /shop",
        "gunicorn-asgi": "--root-path /shop",
    }
    for server, argument in root_path.items():
        for way in ("keep", "strip"):
            # uvicorn puts the prefix in front of a path that has it already.
            says = "prefix_twice" if (server, way) == ("uvicorn-h11", "keep") else ""
            for app in (_STARLETTE, _FASTAPI):
                name = f"{way}-{server}-{app.partition('_')[2]}"
                yield cell(name, app, server, f"nginx-{way}", arguments=argument, says=says)
        yield cell(f"strip-{server}-untold", _STARLETTE, server, "nginx-strip", says="prefix_missing")
    for server in ("uvicorn-h11", "hypercorn-asyncio", "granian", "daphne"):
        for way in ("keep", "strip"):
            told = {"MATRIX_ROOT_PATH": "/shop"}
            yield cell(f"{way}-fastapi-root-path-{server}", _FASTAPI, server, f"nginx-{way}", options=told)
    mount = {"MATRIX_MOUNT": "/shop"}
    yield cell("mount-starlette", _STARLETTE, "uvicorn-h11", options=mount)
    yield cell("mount-starlette-hypercorn", _STARLETTE, "hypercorn-asyncio", options=mount)
    yield cell("mount-fastapi", _FASTAPI, "uvicorn-h11", options=mount)
    yield cell("mount-nginx-keep-tls", _STARLETTE, "uvicorn-h11", "nginx-keep-tls", tls=True, options=mount)
    yield cell("dispatcher", _FLASK, "gunicorn-gthread", options=mount)
    yield cell("dispatcher-nginx-keep", _FLASK, "waitress", "nginx-keep", options=mount)
    for server in ("gunicorn-gthread", "waitress", "uwsgi-threads", "granian-wsgi", "cheroot"):
        fix = {"MATRIX_PROXY_FIX": "outside"}
        yield cell(f"strip-proxyfix-outside-{server}", _FLASK, server, "nginx-strip", options=fix)
        yield cell(f"strip-untold-{server}", _FLASK, server, "nginx-strip-bare", says="prefix_missing")
    inside = {"MATRIX_PROXY_FIX": "inside"}
    for server in ("gunicorn-gthread", "waitress"):
        name = f"strip-proxyfix-inside-{server}"
        yield cell(name, _FLASK, server, "nginx-strip", options=inside, says="prefix_missing")
    twice = {"MATRIX_PROXY_FIX": "outside"}
    yield cell("keep-proxyfix-outside", _FLASK, "waitress", "nginx-keep-told", options=twice, says="prefix_twice")
    script_name = {"SCRIPT_NAME": "/shop"}
    yield cell("keep-script-name-gunicorn", _FLASK, "gunicorn-gthread", "nginx-keep", options=script_name)
    yield cell("keep-script-name-gunicorn-gevent", _FLASK, "gunicorn-gevent", "nginx-keep", options=script_name)
    yield cell(
        "strip-script-name-gunicorn", _FLASK, "gunicorn-gthread", "nginx-strip", options=script_name,
        unable="gunicorn answers 500 by itself where SCRIPT_NAME is not in the path",
    )  # fmt: skip
    for way in ("keep", "strip"):
        argument = "--url-prefix /shop"
        yield cell(f"{way}-waitress-url-prefix", _FLASK, "waitress", f"nginx-{way}", arguments=argument)
    mounted = "--manage-script-name --mount /shop={app}"
    yield cell("keep-uwsgi-mount", _FLASK, "uwsgi-mount", "nginx-keep", arguments=mounted)
    yield cell("keep-django", "wsgi_django", "gunicorn-gthread", "nginx-keep", options=script_name)
    yield cell("strip-django", "asgi_django", "uvicorn-h11", "nginx-strip", arguments="--root-path /shop")
    for proxy in ("haproxy-strip", "apache-strip", "caddy-strip"):
        yield cell(f"{proxy}-waitress", _FLASK, "waitress", proxy, arguments="--url-prefix /shop")
        yield cell(f"{proxy}-uvicorn", _STARLETTE, "uvicorn-h11", proxy, arguments="--root-path /shop")
    tls = {"MATRIX_PROXY_FIX": "outside"}
    yield cell("strip-tls-proxyfix", _FLASK, "gunicorn-gthread", "nginx-strip-tls", tls=True, options=tls)
    yield cell("strip-tls", _STARLETTE, "uvicorn-h11", "nginx-strip-tls", tls=True, arguments="--root-path /shop")


_DOORS = {
    "flask": ("wsgi_flask", "gunicorn-gthread"),
    "wsgi": ("wsgi_bare", "gunicorn-gthread"),
    "asgi": ("asgi_bare", "uvicorn-h11"),
    "starlette": ("asgi_starlette", "hypercorn-asyncio"),
    "fastapi": ("asgi_fastapi", "granian"),
}


def _stores() -> Iterator[Cell]:
    for door, (app, server) in _DOORS.items():
        for store in STORES:
            for flow in ("sign-token", "oauth2"):
                yield Cell(
                    group="stores", name=f"{door}-{store}-{flow}", app=app, server=server, store=store,
                    options={"XWMS_FLOW": flow}, packages="xwms-auth[oauth2]" if flow == "oauth2" else "",
                )  # fmt: skip


_OLD = {
    "flask-2.3": ("wsgi_flask", "flask==2.3.3 werkzeug==2.3.8 cryptography==42.0.8"),
    "flask-3.0": ("wsgi_flask", "flask==3.0.3 werkzeug==3.0.6 cryptography==43.0.3"),
    "fastapi-0.110": ("asgi_fastapi", "fastapi==0.110.0 starlette==0.36.3 cryptography==42.0.8"),
    "fastapi-0.115": ("asgi_fastapi", "fastapi==0.115.14 cryptography==44.0.3"),
    "starlette-0.36": ("asgi_starlette", "starlette==0.36.3 cryptography==42.0.8"),
    "django-4.2": ("wsgi_django", "django==4.2.30"),
}


def _versions() -> Iterator[Cell]:
    for python in PYTHONS:
        for resolution in ("highest", "lowest-direct"):
            age = "newest" if resolution == "highest" else "lowest"
            for door, (app, _) in _DOORS.items():
                wsgi = app.startswith("wsgi")
                yield Cell(
                    group="versions", name=f"python-{python}-{age}-{door}", app=app, python=python,
                    resolution=resolution, store="redis", server="wsgiref" if wsgi else "xwms-auth-dev",
                )  # fmt: skip
        for name, (app, packages) in _OLD.items():
            server = "waitress" if app.startswith("wsgi") else "uvicorn-h11"
            yield Cell(
                group="versions", name=f"python-{python}-{name}", app=app, server=server, packages=packages,
                python=python, store="sqlite",
            )  # fmt: skip


CELLS = [*_frameworks(), *_servers(), *_proxies(), *_prefixes(), *_stores(), *_versions()]
