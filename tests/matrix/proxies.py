"""What stands between the visitor and the server: the configuration of each proxy, written into the cell's folder.

A form gives the command that runs it. `public` is the port that visitors use, `ports` those of the servers behind it,
`sockets` their unix sockets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.matrix.environments import tool

_HEADERS = """
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-Host $http_host;
proxy_set_header X-Forwarded-Port $server_port;
"""
_UPGRADE = """
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
"""
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    proxy_cache_path {folder}/cache keys_zone=kept:1m;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    {outside}
    server {{
        listen 127.0.0.1:{public}{listen};
        {tls}
        {inside}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a proxy's files are, and what it connects."""

    folder: Path
    public: int
    ports: tuple[int, ...]
    socket: Path
    spare: int


Form = Callable[[Place], list[str]]


def _nginx(
    inside: str, *, tls: bool = False, listen: str = "", outside: str = "", headers: str = _HEADERS + _UPGRADE
) -> Form:
    """`inside` is the server block's content; in it `@0` and `@1` are the servers, `@unix` the socket, `@@` headers."""

    def write(place: Place) -> list[str]:
        program = tool("nginx")
        text = _NGINX.format(
            folder=place.folder,
            public=place.public,
            listen=f"{' ssl' if tls else ''}{listen}",
            tls=f"ssl_certificate {place.folder}/cert.pem; ssl_certificate_key {place.folder}/key.pem;" if tls else "",
            inside=_filled(inside, place, headers),
            outside=_filled(outside, place, headers),
        )
        config = place.folder / "nginx.conf"
        config.write_text(text)
        return [program, "-e", "stderr", "-p", str(place.folder), "-c", str(config)]

    return write


def _filled(text: str, place: Place, headers: str = "") -> str:
    text = text.replace("@@", headers).replace("@unix", f"unix:{place.socket}").replace("@spare", str(place.spare))
    text = text.replace("@folder", str(place.folder)).replace("@public", str(place.public))
    text = text.replace("@port", str(place.ports[0]))
    for number, port in enumerate(place.ports):
        text = text.replace(f"@{number}", f"127.0.0.1:{port}")
    return text


_ALL = "location / {{ @@ {more} proxy_pass http://@0; }}"


def _everything(more: str = "") -> str:
    return _ALL.format(more=more)


def _file(name: str, text: str, *command: str) -> Form:
    """A proxy with one configuration file; `command` begins with the program's name and may use `@folder`."""

    def write(place: Place) -> list[str]:
        program = tool(*command[0].split("|"))
        combined = place.folder / "both.pem"
        if (place.folder / "cert.pem").exists():
            combined.write_text((place.folder / "cert.pem").read_text() + (place.folder / "key.pem").read_text())
        (place.folder / name).write_text(_filled(text, place))
        return [program, *(_filled(word, place) for word in command[1:])]

    return write


_KEEP = "location /shop/ { @@ proxy_pass http://@0; }"
_STRIP = "location /shop/ { @@ proxy_set_header X-Forwarded-Prefix /shop; proxy_pass http://@0/; }"
_BARE = "proxy_set_header Host $http_host;" + _UPGRADE

NGINX: dict[str, Form] = {
    "nginx": _nginx(_everything()),
    "nginx-without-x-forwarded": _nginx(_everything(), headers=_BARE),
    "nginx-host-lost": _nginx(_everything(), headers=_UPGRADE),
    "nginx-host-without-port": _nginx(_everything(), headers="proxy_set_header Host $host;" + _UPGRADE),
    "nginx-http10-upstream": _nginx(_everything(), headers="proxy_set_header Host $http_host;"),
    "nginx-keepalive-upstream": _nginx(
        'location / { @@ proxy_set_header Connection ""; proxy_pass http://app; }',
        outside="upstream app { server @0; keepalive 8; }",
        headers=_HEADERS + "proxy_http_version 1.1;",
    ),
    "nginx-tls": _nginx(_everything(), tls=True),
    "nginx-tls-without-x-forwarded": _nginx(_everything(), tls=True, headers=_BARE),
    "nginx-tls-http2": _nginx(_everything(), tls=True, listen=" http2"),
    "nginx-unix-socket": _nginx("location / { @@ proxy_pass http://@unix; }", tls=True),
    "nginx-underscores": _nginx(_everything(), outside="underscores_in_headers on;"),
    "nginx-unbuffered": _nginx(_everything("proxy_buffering off;")),
    "nginx-small-buffer": _nginx(_everything("proxy_buffer_size 4k; proxy_buffers 8 4k;"), tls=True),
    "nginx-gzip": _nginx(_everything(), outside="gzip on; gzip_types *; gzip_min_length 1;"),
    "nginx-cache": _nginx(_everything("proxy_cache kept; proxy_cache_valid 200 302 303 401 404 1m;")),
    "nginx-chain": _nginx(
        "location / { @@ proxy_pass http://127.0.0.1:@spare; }",
        tls=True,
        outside="server { listen 127.0.0.1:@spare; location / { @@ proxy_pass http://@0; } }",
    ),
    "nginx-keep": _nginx(_KEEP),
    "nginx-keep-told": _nginx(
        "location /shop/ { @@ proxy_set_header X-Forwarded-Prefix /shop; proxy_pass http://@0; }"
    ),
    "nginx-keep-tls": _nginx(_KEEP, tls=True),
    "nginx-strip": _nginx(_STRIP),
    "nginx-strip-tls": _nginx(_STRIP, tls=True),
    "nginx-strip-bare": _nginx("location /shop/ { @@ proxy_pass http://@0/; }", headers=_BARE),
    "nginx-two-apps": _nginx(
        "location /shop/ { @@ proxy_pass http://@0; } location /desk/ { @@ proxy_pass http://@1; }", tls=True
    ),
    "nginx-two-hosts": _nginx(_everything(), tls=True),
    "nginx-two-servers": _nginx(
        "location / { @@ proxy_pass http://both; }", tls=True, outside="upstream both { server @0; server @1; }"
    ),
    "nginx-uwsgi": _nginx("location / { include /etc/nginx/uwsgi_params; uwsgi_pass @0; }"),
    "nginx-fastcgi": _nginx(
        "location / { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_NAME ''; "
        "fastcgi_param PATH_INFO $fastcgi_script_name; fastcgi_pass @0; }"
    ),
    "nginx-scgi": _nginx(
        "location / { include /etc/nginx/scgi_params; scgi_param SCRIPT_NAME ''; "
        "scgi_param PATH_INFO $document_uri; scgi_pass @0; }"
    ),
}

_HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend in
    bind 127.0.0.1:@public{tls}
    {front}
    default_backend app
backend app
    {back}
    server one @0
"""
_APACHE = """
ServerRoot @folder
PidFile @folder/httpd.pid
DefaultRuntimeDir @folder
ErrorLog @folder/apache.log
ServerName localhost
Listen 127.0.0.1:@public
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
ScriptSock @folder/cgid.sock
"""
_APACHE_TLS = "SSLEngine on\nSSLCertificateFile @folder/cert.pem\nSSLCertificateKeyFile @folder/key.pem\n"
_APACHE_RUN = ("apache2", "-f", "@folder/apache.conf", "-D", "FOREGROUND")
_CADDY = """
{{
    admin off
    auto_https off
    storage file_system @folder
}}
{site} {{
    {body}
}}
"""
_CADDY_RUN = ("caddy", "run", "--adapter", "caddyfile", "--config", "@folder/Caddyfile")
_LIGHTTPD = """
server.port = @public
server.bind = "127.0.0.1"
server.document-root = "@folder"
server.errorlog = "@folder/lighttpd.log"
server.modules = ({modules})
{body}
"""
_VARNISH = """
vcl 4.1;
backend app { .host = "127.0.0.1"; .port = "@port"; }
sub vcl_recv { if (req.http.upgrade ~ "(?i)websocket") { return (pipe); } }
sub vcl_pipe { if (req.http.upgrade) { set bereq.http.upgrade = req.http.upgrade; set bereq.http.connection = "upgrade"; } }
"""  # noqa: E501


def _varnish(place: Place) -> list[str]:
    program = tool("varnishd")
    config = place.folder / "default.vcl"
    config.write_text(_VARNISH.replace("@port", str(place.ports[0])))
    work = place.folder / "varnish"
    place.folder.chmod(0o755)
    return [program, "-F", "-a", f"127.0.0.1:{place.public}", "-f", str(config), "-n", str(work), "-s", "malloc,16m"]


def _apache_cgi(place: Place) -> list[str]:
    """CGI: a process for each request. The script gets the application's variables from Apache's own environment."""
    script = place.folder / "run.cgi"
    launch = Path(__file__).with_name("launch.py")
    script.write_text(f'#!/bin/sh\nexec "$MATRIX_PYTHON" {launch} cgi "$MATRIX_APP" 0\n')
    script.chmod(0o755)
    names = " ".join(
        "MATRIX_PYTHON MATRIX_APP PYTHONPATH PATH XWMS_CLIENT_ID XWMS_CLIENT_SECRET XWMS_REDIRECT_URI XWMS_DOMAIN"
        " XWMS_API_URI XWMS_SESSION_SECRET XWMS_SESSION_STORE XWMS_REVOCATION_STORE".split()
    )
    alias = f"PassEnv {names}\nScriptAlias / {script}/\n<Directory @folder>\nRequire all granted\n</Directory>\n"
    return _file("apache.conf", _APACHE + alias, *_APACHE_RUN)(place)


OTHERS: dict[str, Form] = {
    "haproxy": _file(
        "haproxy.cfg", _HAPROXY.format(tls="", front="", back=""), "haproxy", "-db", "-f", "@folder/haproxy.cfg"
    ),
    "haproxy-tls-http2": _file(
        "haproxy.cfg",
        _HAPROXY.format(
            tls=" ssl crt @folder/both.pem alpn h2,http/1.1",
            front="http-request set-header X-Forwarded-Proto https",
            back="option forwardfor",
        ),
        "haproxy",
        "-db",
        "-f",
        "@folder/haproxy.cfg",
    ),
    "haproxy-strip": _file(
        "haproxy.cfg",
        _HAPROXY.format(tls="", front="http-request replace-path /shop/(.*) /\\1", back=""),
        "haproxy",
        "-db",
        "-f",
        "@folder/haproxy.cfg",
    ),
    "apache": _file(
        "apache.conf", _APACHE + "ProxyPreserveHost On\nProxyPass / http://@0/ upgrade=websocket\n", *_APACHE_RUN
    ),
    "apache-host-lost": _file("apache.conf", _APACHE + "ProxyPass / http://@0/ upgrade=websocket\n", *_APACHE_RUN),
    "apache-tls-http2": _file(
        "apache.conf",
        _APACHE
        + _APACHE_TLS
        + "Protocols h2 http/1.1\nProxyPreserveHost On\nRequestHeader set X-Forwarded-Proto https\n"
        + "ProxyPass / http://@0/ upgrade=websocket\n",
        *_APACHE_RUN,
    ),
    "apache-strip": _file(
        "apache.conf",
        _APACHE + "ProxyPreserveHost On\nProxyPass /shop/ http://@0/ upgrade=websocket\n",
        *_APACHE_RUN,
    ),
    "apache-cgi": _apache_cgi,
    "caddy": _file(
        "Caddyfile",
        _CADDY.format(site="http://localhost:@public", body="bind 127.0.0.1\nreverse_proxy @0"),
        *_CADDY_RUN,
    ),
    "caddy-tls": _file(
        "Caddyfile",
        _CADDY.format(
            site="https://localhost:@public",
            body="bind 127.0.0.1\ntls @folder/cert.pem @folder/key.pem\nreverse_proxy @0",
        ),
        *_CADDY_RUN,
    ),
    "caddy-strip": _file(
        "Caddyfile",
        _CADDY.format(
            site="http://localhost:@public", body="bind 127.0.0.1\nhandle_path /shop/* {{\nreverse_proxy @0\n}}"
        )
        .replace("{{", "{")
        .replace("}}", "}"),
        *_CADDY_RUN,
    ),
    "lighttpd": _file(
        "lighttpd.conf",
        _LIGHTTPD.format(
            modules='"mod_proxy"',
            body='proxy.server = ("" => (("host" => "127.0.0.1", "port" => @port)))\n'
            'proxy.header = ("upgrade" => "enable")',
        ),
        "lighttpd",
        "-D",
        "-f",
        "@folder/lighttpd.conf",
    ),
    "varnish": _varnish,
    "nghttpx-tls-http2": _file(
        "nghttpx.conf",
        "frontend=127.0.0.1,@public\nbackend=127.0.0.1,@port\nadd-x-forwarded-for=yes\n",
        "nghttpx",
        "--conf=@folder/nghttpx.conf",
        "@folder/key.pem",
        "@folder/cert.pem",
    ),
}

FORMS = NGINX | OTHERS
