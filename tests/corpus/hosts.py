"""Hostile Host values (HP-01) and the headers that pretend to come from a proxy (HP-02, HP-03).

Plain latin-1 text for a raw request; nothing here may change what is sent to XWMS or where a browser is sent.
"""

from typing import Final

HOSTS: Final[tuple[str, ...]] = (
    "evil.example",
    "evil.example:443",
    "evil.example:99999",
    "evil.example:abc",
    "EVIL.EXAMPLE",
    "APP.EXAMPLE.COM",
    "app.example.com.",
    "app.example.com:8443",
    "app.example.com:",
    "app.example.com.evil.example",
    "evilapp.example.com",
    "user@evil.example",
    "app.example.com@evil.example",
    "app.example.com:443@evil.example",
    "app.example.com, evil.example",
    "app.example.com evil.example",
    "app.example.com/evil",
    "app.example.com#evil",
    "a/public?x=",
    "app.example.com\\evil.example",
    "%65vil.example",
    "evil.example%00app.example.com",
    "xn--evil-example",
    "\xe9vil.example",
    "*",
    "",
    " ",
    "-",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "[",
    "169.254.169.254",
    "a" * 5_000,
)

FORWARDED: Final[tuple[tuple[str, str], ...]] = (
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Host", "app.example.com, evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Proto", "javascript"),
    ("X-Forwarded-Scheme", "http"),
    ("X-Forwarded-Ssl", "off"),
    ("X-Forwarded-Port", "8080"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Prefix", "//evil.example"),
    ("X-Forwarded-Path", "/evil"),
    ("X-Forwarded-Uri", "/evil"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("Forwarded", "for=127.0.0.1;host=evil.example;proto=http"),
    ("X-Host", "evil.example"),
    ("X-HTTP-Host-Override", "evil.example"),
    ("X-Original-Host", "evil.example"),
    ("X-Original-URL", "/xwms/validateToken"),
    ("X-Rewrite-URL", "/xwms/validateToken"),
    ("X-Script-Name", "/evil"),
    ("X-Real-IP", "127.0.0.1"),
    ("Front-End-Https", "off"),
)

# Servers that map "-" and "_" alike would let these pass for the headers above.
UNDERSCORED: Final[tuple[tuple[str, str], ...]] = tuple((name.replace("-", "_"), value) for name, value in FORWARDED)
