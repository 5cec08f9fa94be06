"""Raw request-targets that look like `/xwms/validateToken` and are not it (RU-05), as bytes for a raw socket.

A target has no query: whoever sends it adds `?token=`.
`decoded` says that servers may undo the difference before the app sees the path: then "callback" and 404 are right.
Everything else must not be treated as the callback by anybody.
"""

from typing import Final, NamedTuple

CALLBACK: Final = b"/xwms/validateToken"


class Target(NamedTuple):
    """One request-target: a name for the test, the bytes, and whether servers may decode it to the callback."""

    name: str
    raw: bytes
    decoded: bool = False


NEAR_MISSES: Final[tuple[Target, ...]] = (
    Target("two slashes in front", b"//xwms/validateToken", decoded=True),  # http.server and Werkzeug collapse them
    Target("three slashes in front", b"///xwms/validateToken", decoded=True),
    Target("two slashes in the middle", b"/xwms//validateToken"),
    Target("a slash behind", b"/xwms/validateToken/"),
    Target("two slashes behind", b"/xwms/validateToken//"),
    Target("lower case", b"/xwms/validatetoken"),
    Target("upper case", b"/XWMS/VALIDATETOKEN"),
    Target("other case in front", b"/Xwms/validateToken"),
    Target("a path parameter", b"/xwms/validateToken;x"),
    Target("a path parameter with a value", b"/xwms/validateToken;jsessionid=1"),
    Target("a path parameter in the middle", b"/xwms;x/validateToken"),
    Target("an empty path parameter", b"/xwms/validateToken;"),
    Target("an encoded slash", b"/xwms%2fvalidateToken", decoded=True),
    Target("an encoded slash in upper case", b"/xwms%2FvalidateToken", decoded=True),
    Target("an encoded slash in front", b"/%2fxwms/validateToken"),
    Target("an encoded slash behind", b"/xwms/validateToken%2f"),
    Target("a slash encoded twice", b"/xwms%252fvalidateToken"),
    Target("a dot segment", b"/xwms/./validateToken"),
    Target("a dot segment in front", b"/./xwms/validateToken"),
    Target("a dot segment behind", b"/xwms/validateToken/."),
    Target("a double-dot segment", b"/a/../xwms/validateToken"),
    Target("a double-dot segment behind", b"/xwms/validateToken/a/.."),
    Target("an encoded double-dot segment", b"/a/%2e%2e/xwms/validateToken"),
    Target("an encoded double-dot segment with its slash", b"/a%2f..%2fxwms/validateToken"),
    Target("a dot at the end", b"/xwms/validateToken."),
    Target("an extension", b"/xwms/validateToken.html"),
    Target("a backslash", b"/xwms\\validateToken"),
    Target("a backslash in front", b"\\xwms\\validateToken"),
    Target("an encoded backslash", b"/xwms%5cvalidateToken"),
    Target("an encoded letter", b"/xwms/%76alidateToken", decoded=True),
    Target("all letters encoded", b"/%78%77%6d%73/%76alidateToken", decoded=True),
    Target("a letter encoded twice", b"/xwms/%2576alidateToken"),
    Target("an encoded NUL behind", b"/xwms/validateToken%00"),
    Target("an encoded NUL and an extension", b"/xwms/validateToken%00.html"),
    Target("a raw NUL behind", b"/xwms/validateToken\x00"),
    Target("an encoded space behind", b"/xwms/validateToken%20"),
    Target("an encoded space in front", b"/%20xwms/validateToken"),
    Target("an encoded tab behind", b"/xwms/validateToken%09"),
    Target("an encoded newline behind", b"/xwms/validateToken%0a"),
    Target("an encoded CRLF behind", b"/xwms/validateToken%0d%0a"),
    Target("an encoded question mark", b"/xwms/validateToken%3f"),
    Target("an encoded number sign", b"/xwms/validateToken%23"),
    Target("an encoded no-break space", b"/xwms/validateToken%c2%a0"),
    Target("an encoded stray byte", b"/xwms/validateToken%ff"),
    Target("a raw stray byte", b"/xwms/validateToken\xff"),
    Target("an overlong slash", b"/xwms%c0%afvalidateToken"),
    Target("a full-width slash", b"/xwms%ef%bc%8fvalidateToken"),
    Target("a full-width letter", b"/xwms/%ef%bd%96alidateToken"),
    Target("a Kelvin sign", b"/xwms/validateTo%e2%84%aaen"),
    Target("a broken percent sign", b"/xwms/validateToken%"),
    Target("an incomplete percent sign", b"/xwms/validateToken%2"),
    Target("no slash in front", b"xwms/validateToken"),
    Target("the absolute form of a foreign host", b"http://evil.example/xwms/validateToken", decoded=True),
    Target("a prefix", b"/xwms/validateTok"),
    Target("a longer word", b"/xwms/validateTokens"),
    Target("a path in front", b"/app/xwms/validateToken"),
    Target("a path behind", b"/xwms/validateToken/extra"),
    Target("the asterisk form", b"*"),
)
