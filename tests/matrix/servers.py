"""How each server is started.

`{bin}`, `{python}`, `{app}` ("module:app"), `{module}`, `{port}`, `{bind}` (an address, or `unix:` with a path),
`{socket}` (that path), `{launch}` and `{folder}` are filled in by the cell.
"""

from dataclasses import dataclass

_LAUNCH = "{python} {launch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """`processes`: several of them, so that no store of one process can serve. `close`: one request a connection.

    `note` is shown in the table; `programs` are needed beside the packages. `tls` starts it with a certificate.
    """

    command: str
    packages: str = ""
    websocket: bool = True
    processes: bool = False
    close: bool = False
    tls: bool = False
    http2: bool = False
    programs: tuple[str, ...] = ()


ASGI = {
    "uvicorn-h11": Server(
        command="{bin}/uvicorn --http h11 --loop asyncio --port {port} {app}", packages="uvicorn websockets"
    ),
    "uvicorn-httptools-uvloop": Server(
        command="{bin}/uvicorn --http httptools --loop uvloop --port {port} {app}", packages="uvicorn[standard]"
    ),
    "uvicorn-wsproto": Server(command="{bin}/uvicorn --ws wsproto --port {port} {app}", packages="uvicorn wsproto"),
    "uvicorn-workers": Server(
        command="{bin}/uvicorn --workers 2 --port {port} {app}", packages="uvicorn[standard]", processes=True
    ),
    "hypercorn-asyncio": Server(command="{bin}/hypercorn -b {bind} {app}", packages="hypercorn"),
    "hypercorn-uvloop": Server(command="{bin}/hypercorn -k uvloop -b {bind} {app}", packages="hypercorn[uvloop]"),
    "hypercorn-trio": Server(command="{bin}/hypercorn -k trio -b {bind} {app}", packages="hypercorn[trio]"),
    "hypercorn-http2-tls": Server(
        command="{bin}/hypercorn --certfile {folder}/cert.pem --keyfile {folder}/key.pem -b {bind} {app}",
        packages="hypercorn",
        tls=True,
        http2=True,
    ),
    "hypercorn-workers": Server(command="{bin}/hypercorn -w 2 -b {bind} {app}", packages="hypercorn", processes=True),
    "anycorn-asyncio": Server(command="{bin}/anycorn -b {bind} {app}", packages="anycorn"),
    "anycorn-trio": Server(command="{bin}/anycorn -k trio -b {bind} {app}", packages="anycorn trio"),
    "granian": Server(command="{bin}/granian --interface asgi --port {port} {app}", packages="granian"),
    "granian-uvloop-workers": Server(
        command="{bin}/granian --interface asgi --workers 2 --loop uvloop --port {port} {app}",
        packages="granian uvloop",
        processes=True,
    ),
    "daphne": Server(command="{bin}/daphne -b 127.0.0.1 -p {port} {app}", packages="daphne"),
    "gunicorn-uvicorn-worker": Server(
        command="{bin}/gunicorn -k uvicorn_worker.UvicornWorker -w 2 -b {bind} {app}",
        packages="gunicorn uvicorn-worker uvicorn[standard]",
        processes=True,
    ),
    "gunicorn-asgi": Server(command="{bin}/gunicorn -k asgi -b {bind} {app}", packages="gunicorn>=26"),
    "gunicorn-asgi-workers": Server(
        command="{bin}/gunicorn -k asgi -w 2 -b {bind} {app}", packages="gunicorn>=26 uvloop", processes=True
    ),
    "tremolo": Server(
        command="{python} -m tremolo --host 127.0.0.1 --port {port} {app}", packages="tremolo", websocket=True
    ),
    "fastpysgi": Server(command=f"{_LAUNCH} fastpysgi {{app}} {{port}}", packages="fastpysgi", websocket=False),
    "aiohttp-asgi": Server(
        command="{bin}/aiohttp-asgi --address 127.0.0.1 --port {port} {app}", packages="aiohttp-asgi"
    ),
    "socketify": Server(
        command="{python} -m socketify {app} --interface asgi --host 127.0.0.1 --port {port}", packages="socketify"
    ),
    "a2wsgi-waitress": Server(
        command=f"{_LAUNCH} asgi_on_waitress {{app}} {{port}}", packages="a2wsgi waitress", websocket=False
    ),
    "xwms-auth-dev": Server(command=f"{_LAUNCH} dev {{app}} {{port}}", packages="xwms-auth[cli] websockets>=12"),
    "nginx-unit": Server(command="unitd", programs=("unitd",)),
}

_GUNICORN = "{bin}/gunicorn -b {bind} --access-logfile -"

WSGI = {
    "flask-run": Server(command="{bin}/flask --app {app} run --port {port}"),
    "flask-run-no-threads": Server(command="{bin}/flask --app {app} run --without-threads --port {port}"),
    "flask-debug-reload": Server(command="{bin}/flask --app {app} --debug run --port {port}"),
    "werkzeug-run-simple": Server(command=f"{_LAUNCH} werkzeug {{app}} {{port}}"),
    "werkzeug-processes": Server(command=f"{_LAUNCH} werkzeug_processes {{app}} {{port}}", processes=True),
    "wsgiref": Server(command=f"{_LAUNCH} wsgiref {{app}} {{port}}"),
    "xwms-auth-dev": Server(command=f"{_LAUNCH} dev {{app}} {{port}}", packages="xwms-auth[cli,flask]"),
    "gunicorn-sync": Server(command=f"{_GUNICORN} -k sync {{app}}", packages="gunicorn"),
    "gunicorn-sync-4": Server(command=f"{_GUNICORN} -k sync -w 4 {{app}}", packages="gunicorn", processes=True),
    "gunicorn-sync-4-preload": Server(
        command=f"{_GUNICORN} -k sync -w 4 --preload {{app}}", packages="gunicorn", processes=True
    ),
    "gunicorn-gthread": Server(command=f"{_GUNICORN} -k gthread --threads 8 {{app}}", packages="gunicorn"),
    "gunicorn-gthread-preload": Server(
        command=f"{_GUNICORN} -k gthread --threads 4 -w 2 --preload {{app}}", packages="gunicorn", processes=True
    ),
    "gunicorn-gevent": Server(command=f"{_GUNICORN} -k gevent {{app}}", packages="gunicorn[gevent]"),
    "gunicorn-gevent-preload": Server(
        command=f"{_GUNICORN} -k gevent -w 2 --preload {{app}}", packages="gunicorn[gevent]", processes=True
    ),
    "gunicorn-tornado": Server(command=f"{_GUNICORN} -k tornado {{app}}", packages="gunicorn<26 tornado"),
    "gunicorn-20": Server(command=f"{_GUNICORN} --threads 4 {{app}}", packages="gunicorn==20.1.0 setuptools<70"),
    "waitress": Server(command="{bin}/waitress-serve --listen 127.0.0.1:{port} {app}", packages="waitress"),
    "waitress-one-thread": Server(
        command="{bin}/waitress-serve --threads 1 --listen 127.0.0.1:{port} {app}", packages="waitress"
    ),
    "uwsgi-http": Server(
        command="{bin}/uwsgi --die-on-term --need-app --enable-threads --http 127.0.0.1:{port} --module {app}",
        packages="uwsgi",
        close=True,
    ),
    "uwsgi-threads": Server(
        command="{bin}/uwsgi --die-on-term --need-app --threads 4 --http 127.0.0.1:{port} --module {app}",
        packages="uwsgi",
        close=True,
    ),
    "uwsgi-processes": Server(
        command="{bin}/uwsgi --die-on-term --need-app --master --processes 4 --threads 2 --http 127.0.0.1:{port}"
        " --module {app}",
        packages="uwsgi",
        processes=True,
        close=True,
    ),
    "uwsgi-lazy-apps": Server(
        command="{bin}/uwsgi --die-on-term --need-app --master --lazy-apps --processes 2 --http-socket"
        " 127.0.0.1:{port} --module {app}",
        packages="uwsgi",
        processes=True,
        close=True,
    ),
    "uwsgi-gevent": Server(
        command="{bin}/uwsgi --die-on-term --need-app --gevent 50 --gevent-monkey-patch --http-socket 127.0.0.1:{port}"
        " --module {app}",
        packages="uwsgi gevent",
        close=True,
    ),
    "gevent-pywsgi": Server(command=f"{_LAUNCH} gevent_pywsgi {{app}} {{port}}", packages="gevent"),
    "gevent-patched-late": Server(command=f"{_LAUNCH} gevent_patched_late {{app}} {{port}}", packages="gevent"),
    "gevent-unpatched": Server(command=f"{_LAUNCH} gevent_unpatched {{app}} {{port}}", packages="gevent"),
    "eventlet": Server(command=f"{_LAUNCH} eventlet {{app}} {{port}}", packages="eventlet"),
    "cheroot": Server(command="{bin}/cheroot --bind 127.0.0.1:{port} {app}", packages="cheroot"),
    "bjoern": Server(command=f"{_LAUNCH} bjoern {{app}} {{port}}", packages="bjoern"),
    "meinheld": Server(command=f"{_LAUNCH} meinheld {{app}} {{port}}", packages="meinheld"),
    "granian-wsgi": Server(command="{bin}/granian --interface wsgi --port {port} {app}", packages="granian"),
    "granian-wsgi-workers": Server(
        command="{bin}/granian --interface wsgi --workers 2 --blocking-threads 2 --port {port} {app}",
        packages="granian",
        processes=True,
    ),
    "hypercorn-wsgi": Server(command="{bin}/hypercorn -b {bind} wsgi:{app}", packages="hypercorn"),
    "a2wsgi-uvicorn": Server(command=f"{_LAUNCH} a2wsgi {{app}} {{port}}", packages="a2wsgi uvicorn"),
    "uvicorn-wsgi": Server(command="{bin}/uvicorn --interface wsgi --port {port} {app}", packages="uvicorn a2wsgi"),
    "asgiref-uvicorn": Server(command=f"{_LAUNCH} asgiref {{app}} {{port}}", packages="asgiref uvicorn"),
    "twisted-web": Server(
        command="{bin}/twist web --listen tcp:{port}:interface=127.0.0.1 --wsgi {module}.app", packages="twisted"
    ),
    "tornado-wsgi": Server(command=f"{_LAUNCH} tornado {{app}} {{port}}", packages="tornado"),
    "aiohttp-wsgi": Server(
        command="{bin}/aiohttp-wsgi-serve --host 127.0.0.1 --port {port} {app}", packages="aiohttp-wsgi"
    ),
    "mod-wsgi-express": Server(
        command="{bin}/mod_wsgi-express start-server --application-type module --host 127.0.0.1 --port {port}"
        " --server-root {folder}/httpd --processes 2 --threads 4 --callable-object app --user www-data"
        " --group www-data {module}",
        packages="mod_wsgi",
        programs=("apache2",),
        processes=True,
    ),
    "pyruvate": Server(command=f"{_LAUNCH} pyruvate {{app}} {{port}}", packages="pyruvate"),
    "fastwsgi": Server(command=f"{_LAUNCH} fastwsgi {{app}} {{port}}", packages="fastwsgi setuptools<80"),
    "fastpysgi-wsgi": Server(command=f"{_LAUNCH} fastpysgi {{app}} {{port}}", packages="fastpysgi"),
    "rocket3": Server(command=f"{_LAUNCH} rocket3 {{app}} {{port}}", packages="rocket3"),
    "netius": Server(command=f"{_LAUNCH} netius {{app}} {{port}}", packages="netius"),
    "wsgiserver": Server(command=f"{_LAUNCH} wsgiserver {{app}} {{port}}", packages="wsgiserver"),
}
"""Those without packages have what Flask brings along, or Python."""

# Behind a proxy only, or with arguments that some cells have: CGI, FastCGI, SCGI and uWSGI's protocol are no HTTP.
GATEWAYS = {
    "cgi": Server(command="", close=True, processes=True),
    "fastcgi-flup": Server(command=f"{_LAUNCH} flup_fcgi {{app}} {{port}}", packages="flup"),
    "scgi-flup": Server(command=f"{_LAUNCH} flup_scgi {{app}} {{port}}", packages="flup"),
    "uwsgi-mount": Server(
        command="{bin}/uwsgi --die-on-term --need-app --threads 4 --http 127.0.0.1:{port}",
        packages="uwsgi",
        close=True,
    ),
    "uwsgi-protocol": Server(
        command="{bin}/uwsgi --die-on-term --need-app --enable-threads --socket 127.0.0.1:{port} --module {app}",
        packages="uwsgi",
    ),
    "gunicorn-uwsgi-protocol": Server(
        command="{bin}/gunicorn --protocol uwsgi --threads 4 -b {bind} {app}", packages="gunicorn>=25"
    ),
}
