"""What XWMS may answer, honest and absurd (UT-01 to UT-07, OR-09), as bytes, statuses and content types.

`BAD` answers to sign-token-verify must all be refused and `GOOD` ones accepted; `SUBS` are JSON values of `sub`;
`BAD_URLS` are values of sign-token's `data.url` for the API base `https://xwms.nl/api/`.
The two "UT-08 too large" are refused by whoever reads the body off the wire; the parser never sees them.
Bodies are raw, because most faults are lost on the way through a JSON library.
"""

from typing import Final, NamedTuple

JSON: Final = "application/json"
API_URL: Final = "https://xwms.nl/api/"


class Answer(NamedTuple):
    """One HTTP answer; `content_type` is None where the header is missing."""

    name: str
    body: bytes
    content_type: str | None = JSON
    status: int = 200


class Sub(NamedTuple):
    """A `sub` as JSON text, and the string it becomes, or None where it must be refused."""

    name: str
    json: str
    canonical: str | None


def envelope(data: str, *, status: str = '"success"') -> bytes:
    """XWMS's envelope around raw JSON text."""
    return f'{{"status": {status}, "message": "OK", "data": {data}}}'.encode("utf-8", "surrogatepass")


PERSON: Final = (
    '{"sub": "1234", "name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace",'
    ' "email": "ada@mail.example", "email_verified": true, "picture": "https://xwms.nl/p/1234.png"}'
)
SUCCESS: Final = envelope(PERSON)
FAILURE: Final = b'{"status": "error", "message": "no", "data": {}}'

GOOD: Final[tuple[Answer, ...]] = (
    Answer("the documented shape", SUCCESS),
    Answer("a sub alone", envelope('{"sub": "1234"}')),
    Answer("the person below data.user", envelope(f'{{"user": {PERSON}}}')),
    Answer("no family name", envelope('{"sub": "1234", "family_name": null}')),
    Answer("claims nobody asked for", envelope('{"sub": "1234", "is_admin": true, "roles": ["a"], "__proto__": {}}')),
    Answer("no message", b'{"status": "success", "data": {"sub": "1234"}}'),
    Answer("white space around", b"\r\n\t " + SUCCESS + b" \n"),
    Answer("a content type with its charset", SUCCESS, "application/json; charset=utf-8"),
    Answer("a content type without a space", SUCCESS, "application/json;charset=UTF-8"),
    Answer("a content type in mixed case", SUCCESS, "Application/JSON"),
)

BAD: Final[tuple[Answer, ...]] = (
    # UT-01: who?
    Answer("UT-01 no sub", envelope('{"name": "Ada"}')),
    Answer("UT-01 an empty person", envelope("{}")),
    Answer("UT-01 a null sub", envelope('{"sub": null}')),
    Answer("UT-01 an empty sub", envelope('{"sub": ""}')),
    Answer("UT-01 a blank sub", envelope('{"sub": " "}')),
    Answer("UT-01 a sub under another name", envelope('{"id": "1234", "Sub": "1234", "user_id": 1}')),
    Answer("UT-01 a sub outside data", b'{"status": "success", "sub": "1234", "data": {}}'),
    # UT-03: only 200 and "success".
    *(
        Answer(f"UT-03 success with {status}", SUCCESS, JSON, status)
        for status in (201, 202, 203, 204, 205, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 422, 429, 500)
    ),
    *(Answer(f"UT-03 success with {status}", SUCCESS, JSON, status) for status in (501, 502, 503, 504, 599)),
    Answer("UT-03 200 with an error", FAILURE),
    Answer("UT-03 200 with an error and a person", envelope(PERSON, status='"error"')),
    *(
        Answer(f"UT-03 the status {status}", envelope(PERSON, status=status))
        for status in (
            '"Success"',
            '"SUCCESS"',
            '"success "',
            '" success"',
            '"succes"',
            '"successful"',
            '"success\\u0000"',
            '"ok"',
            '""',
            "true",
            "1",
            "200",
            "null",
            '["success"]',
            '{"success": true}',
        )
    ),
    Answer("UT-03 no status", f'{{"message": "OK", "data": {PERSON}}}'.encode()),
    Answer("UT-03 a capital Status", f'{{"Status": "success", "data": {PERSON}}}'.encode()),
    Answer("UT-03 the status inside data", b'{"data": {"status": "success", "sub": "1234"}}'),
    # UT-04: the shape of data.
    Answer("UT-04 no data", b'{"status": "success", "message": "OK"}'),
    *(
        Answer(f"UT-04 data is {data}", envelope(data))
        for data in ("null", "[]", '[{"sub": "1234"}]', '"1234"', '"{}"', "1234", "true", "1.5", '""')
    ),
    *(
        Answer(f"UT-04 data.user is {user}", envelope(f'{{"user": {user}}}'))
        for user in ("null", "[]", "{}", '"1234"', "1234", "true", '[{"sub": "1234"}]', '{"user": {"sub": "1234"}}')
    ),
    Answer("UT-04 the person outside data", f'{{"status": "success", "user": {PERSON}, "data": {{}}}}'.encode()),
    # UT-05: a key twice; parsers take the first or the last.
    Answer("UT-05 status twice", f'{{"status": "error", "status": "success", "data": {PERSON}}}'.encode()),
    Answer(
        "UT-05 status twice, turned round", f'{{"status": "success", "status": "error", "data": {PERSON}}}'.encode()
    ),
    Answer("UT-05 data twice", f'{{"status": "success", "data": {{"sub": "1"}}, "data": {PERSON}}}'.encode()),
    Answer("UT-05 sub twice", envelope('{"sub": "1234", "sub": "5678"}')),
    Answer("UT-05 the same sub twice", envelope('{"sub": "1234", "sub": "1234"}')),
    Answer("UT-05 sub twice, once escaped", envelope('{"sub": "1234", "s\\u0075b": "5678"}')),
    Answer("UT-05 email_verified twice", envelope('{"sub": "1234", "email_verified": false, "email_verified": true}')),
    # UT-06: not quite JSON.
    Answer("UT-06 empty", b""),
    Answer("UT-06 blank", b" \r\n"),
    Answer("UT-06 cut off", SUCCESS[:-1]),
    Answer("UT-06 cut off early", b'{"status": "success", "data": {"sub": "12'),
    Answer("UT-06 trailing junk", SUCCESS + b"x"),
    Answer("UT-06 a trailing NUL", SUCCESS + b"\x00"),
    Answer("UT-06 two documents", SUCCESS + SUCCESS),
    Answer("UT-06 two lines of JSON", SUCCESS + b"\n" + SUCCESS),
    Answer("UT-06 a prefix against hijacking", b")]}',\n" + SUCCESS),
    Answer("UT-06 JSONP", b"callback(" + SUCCESS + b")"),
    Answer("UT-06 a trailing comma", b'{"status": "success", "data": {"sub": "1234"},}'),
    Answer("UT-06 single quotes", b"{'status': 'success', 'data': {'sub': '1234'}}"),
    Answer("UT-06 bare keys", b'{status: "success", data: {sub: "1234"}}'),
    Answer("UT-06 a comment", b'/* a */ {"status": "success", "data": {"sub": "1234"}}'),
    Answer("UT-06 Python words", b'{"status": "success", "data": {"sub": "1234", "email_verified": True}}'),
    Answer("UT-06 NaN", envelope('{"sub": "1234", "age": NaN}')),
    Answer("UT-06 Infinity", envelope('{"sub": "1234", "age": Infinity}')),
    Answer("UT-06 -Infinity", envelope('{"sub": "1234", "age": -Infinity}')),
    Answer("UT-06 a number beyond all floats", envelope('{"sub": "1234", "age": 1e999}')),
    Answer("UT-06 a number beyond int's digits", envelope('{"sub": "1234", "age": ' + "9" * 5_000 + "}")),
    Answer("UT-06 a leading zero", envelope('{"sub": 01234}')),
    Answer("UT-06 a raw line break in a string", envelope('{"sub": "1234", "name": "A\nB"}')),
    Answer("UT-06 a raw NUL in a string", envelope('{"sub": "1234", "name": "A\x00B"}')),
    Answer("UT-06 a broken escape", envelope('{"sub": "1234", "name": "\\x41"}')),
    Answer("UT-06 deep lists", b"[" * 30_000 + b"]" * 30_000),
    Answer("UT-06 deep objects", b'{"data":' * 6_000 + b"{}" + b"}" * 6_000),
    Answer("UT-06 depth beside the person", envelope('{"sub": "1234", "a": ' + "[" * 20_000 + "]" * 20_000 + "}")),
    Answer("UT-06 a byte order mark", b"\xef\xbb\xbf" + SUCCESS),
    Answer("UT-06 UTF-16", SUCCESS.decode().encode("utf-16")),
    Answer("UT-06 UTF-16 without a mark", SUCCESS.decode().encode("utf-16-le")),
    Answer("UT-06 UTF-32", SUCCESS.decode().encode("utf-32")),
    Answer("UT-06 stray bytes", b'{"status": "success", "data": {"sub": "1234", "name": "\xff\xfe"}}'),
    Answer("UT-06 encoded surrogates", b'{"status": "success", "data": {"sub": "1234", "name": "\xed\xa0\x80"}}'),
    Answer("UT-06 Latin-1", '{"status": "success", "data": {"sub": "1234", "name": "Zoë"}}'.encode("latin-1")),
    *(
        Answer(f"UT-06 only {text}", text.encode())
        for text in ("null", "true", "1", '"success"', "[]", "{}", '["success"]', "[{}]", "success")
    ),
    Answer("UT-08 too large", envelope('{"sub": "1234", "a": "' + "a" * 65_536 + '"}')),
    Answer("UT-08 too large with white space", SUCCESS + b" " * 65_536),
    # UT-07: said to be something else.
    *(
        Answer(f"UT-07 content type {content_type!r}", SUCCESS, content_type)
        for content_type in (
            None,
            "",
            "text/html",
            "text/html; charset=utf-8",
            "text/plain",
            "text/json",
            "text/javascript",
            "application/javascript",
            "application/xml",
            "application/octet-stream",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/json-seq",
            "application/x-ndjson",
            "application/problem+json",
            "application/",
            "json",
            "text/html; application/json",
            "text/html, application/json",
        )
    ),
    Answer("UT-07 a page", b"<!doctype html><title>Log in</title>", "text/html"),
    Answer("UT-07 a page said to be JSON", b"<!doctype html><title>Log in</title>"),
)

SUBS: Final[tuple[Sub, ...]] = (
    Sub("digits", '"1234"', "1234"),
    Sub("words", '"xwms-user-1234"', "xwms-user-1234"),
    Sub("leading zeros", '"00123"', "00123"),
    Sub("upper case", '"ABC"', "ABC"),
    Sub("lower case", '"abc"', "abc"),
    Sub("one character", '"a"', "a"),
    Sub("a UUID", '"7d9f3c1e-52ab-4c8e-9d07-0b6f2a41c5e8"', "7d9f3c1e-52ab-4c8e-9d07-0b6f2a41c5e8"),
    Sub("punctuation", '"a|b:c/d@e.f+g"', "a|b:c/d@e.f+g"),
    Sub("quotes and angles", '"<a \\"b\\">"', '<a "b">'),
    Sub("a composed letter", '"caf\\u00e9"', "caf\u00e9"),
    Sub("a decomposed letter", '"cafe\\u0301"', "cafe\u0301"),
    Sub("a sharp s", '"stra\\u00dfe"', "stra\u00dfe"),
    Sub("an astral character", '"\\ud83d\\ude00"', "\U0001f600"),
    Sub("255 characters", '"' + "a" * 255 + '"', "a" * 255),
    Sub("an integer", "1234", "1234"),
    Sub("an integer beyond floats", "9007199254740993", "9007199254740993"),
    Sub("an integer of 255 digits", "9" * 255, "9" * 255),
    Sub("null", "null", None),
    Sub("true", "true", None),
    Sub("false", "false", None),
    Sub("a float", "1.5", None),
    Sub("a whole float", "1234.0", None),
    Sub("an exponent", "1e3", None),
    Sub("a float beyond all", "1e999", None),
    Sub("NaN", "NaN", None),
    Sub("Infinity", "Infinity", None),
    Sub("an integer of 256 digits", "9" * 256, None),
    Sub("an integer of 5000 digits", "9" * 5_000, None),
    Sub("an empty list", "[]", None),
    Sub("a list", '["1234"]', None),
    Sub("an empty object", "{}", None),
    Sub("an object", '{"sub": "1234"}', None),
    Sub("empty", '""', None),
    Sub("a space", '" "', None),
    Sub("spaces", '"   "', None),
    Sub("a no-break space", '"\\u00a0"', None),
    Sub("NUL", '"\\u0000"', None),
    Sub("NUL behind", '"1234\\u0000"', None),
    Sub("a line break", '"12\\n34"', None),
    Sub("CRLF", '"1234\\r\\n"', None),
    Sub("a tab", '"\\t1234"', None),
    Sub("an escape character", '"\\u001b[31m"', None),
    Sub("DEL", '"1234\\u007f"', None),
    Sub("a C1 control", '"1234\\u0085"', None),
    Sub("a line separator", '"12\\u202834"', None),
    Sub("a right-to-left override", '"12\\u202e34"', None),
    Sub("a zero-width space", '"1234\\u200b"', None),
    Sub("a byte order mark", '"\\ufeff1234"', None),
    Sub("a high surrogate", '"\\ud800"', None),
    Sub("a low surrogate", '"1234\\udfff"', None),
    Sub("surrogates the wrong way round", '"\\udc00\\ud800"', None),
    Sub("256 characters", '"' + "a" * 256 + '"', None),
    Sub("50 kB", '"' + "a" * 50_000 + '"', None),
)

GOOD_URLS: Final[tuple[str, ...]] = (
    "https://xwms.nl/login/3f1c9a7b",
    "https://xwms.nl/sign?token=3f1c9a7b&locale=nl",
    "https://xwms.nl/",
    "https://login.xwms.nl/sign?token=3f1c9a7b",
    "https://a.b.xwms.nl/sign",
)

BAD_URLS: Final[tuple[str, ...]] = (
    "",
    " ",
    "/login",
    "login",
    "//xwms.nl/login",
    "xwms.nl/login",
    "https:xwms.nl/login",
    "https:/xwms.nl/login",
    "https:///xwms.nl/login",
    "://xwms.nl/login",
    "http://xwms.nl/login",
    "http://login.xwms.nl/login",
    "ftp://xwms.nl/login",
    "wss://xwms.nl/login",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "javascript://xwms.nl/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "intent://xwms.nl/#Intent;scheme=https;end",
    "https://evil.example/login",
    "https://evil.example/https://xwms.nl/",
    "https://evil.example/?https://xwms.nl/",
    "https://evil.example#https://xwms.nl/",
    "https://xwms.nl.evil.example/login",
    "https://evilxwms.nl/login",
    "https://xwms-nl.example/login",
    "https://xwms.com/login",
    "https://nl/login",
    "https://xwms/login",
    "https://.xwms.nl/login",
    "https://xwms.nl./login",
    "https://*.xwms.nl/login",
    "https://xwms.nl@evil.example/login",
    "https://xwms.nl:443@evil.example/login",
    "https://user@xwms.nl/login",
    "https://user:password@xwms.nl/login",
    "https://@xwms.nl/login",
    "https://xwms.nl%40evil.example/login",
    "https://xwms.nl%2eevil.example/login",
    "https://xwms.nl%00.evil.example/login",
    "https://xwms.nl\\@evil.example/login",
    "https://evil.example\\.xwms.nl/login",
    "https:\\\\xwms.nl\\login",
    "https://xwms.nl\\login",
    "https://xwms.nl:8443/login",
    "https://xwms.nl:80/login",
    "https://xwms.nl:0/login",
    "https://xwms.nl:abc/login",
    "https://xwms.nl:99999/login",
    "https://xwms\u3002nl/login",
    "https://\u24e7wms.nl/login",
    "https://xwm\u0455.nl/login",
    "https://xwms.nl\uff0fevil.example/login",
    "https://localhost/login",
    "http://localhost:8800/login",
    "http://127.0.0.1/login",
    "https://[::1]/login",
    "https://[/login",
    "https://169.254.169.254/latest",
    " https://xwms.nl/login",
    "https://xwms.nl/login ",
    "\thttps://xwms.nl/login",
    "https://xw\tms.nl/login",
    "https://xwms.nl/login\n",
    "https://xwms.nl/login\r\nSet-Cookie: a=b",
    "https://xwms.nl/\r\n\r\n<script>alert(1)</script>",
    "https://xwms.nl/\x00",
    "https://xwms.nl/\x7f",
    "https://xwms.nl/\u2028",
    "https://xwms.nl/\ud800",
    "https://xwms.nl/a b",
    'https://xwms.nl/"><script>alert(1)</script>',
    "https://xwms.nl/" + "a" * 100_000,
)
