"""In which forms a secret is found, how they are called, and what is shown of a text that has one."""

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest

from xwms_auth._core.base.crypto.leak_patterns import LeakPatterns, masked
from xwms_auth._core.base.models import Secret

SECRET = "Zk9+aB/c3=xYq7LmN0pQ"
QUOTED = "ab\"cd'ef<gh>ij&kl/mn\\op"
SLASHED = "ab/cd+ef?gh>ij~klmno~~~/"  # its base64 has slashes and pluses
SPACED = "my secret with spaces"
KEY = "pässwörd-gehéim-1234567890"
BEYOND_LATIN = "prijs-€-vijftig-😀-1234"


def in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def in_php(text: str) -> str:
    return in_json(text).replace("/", "\\/")


def in_script(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" if char in "<>&'" else char for char in in_json(text))


def in_url(text: str) -> str:
    return quote(text, safe="")


def in_base64(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(f"x{text}yy".encode(encoding)).decode()


def basic(client_id: str, secret: str) -> str:
    """`Authorization` as this package sends it (RFC 6749 2.3.1)."""
    return "Basic " + base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


NESTED = {
    "the header of the package itself": (SECRET, basic("client-1", SECRET), "base64"),
    "the header of the package, a secret with spaces": (SPACED, basic("client-1", SPACED), "base64"),
    "JSON of PHP in base64": (SECRET, in_base64(in_php(SECRET)), "base64"),
    "JSON of JSON in base64": (QUOTED, in_base64(in_json(in_json(QUOTED))), "base64"),
    "HTML in base64": (QUOTED, in_base64(html.escape(QUOTED)), "base64"),
    "UTF-16 in base64": (SECRET, in_base64(SECRET, "utf-16-le"), "base64"),
    "base64 as PHP writes it, in JSON": (
        SLASHED,
        in_json(in_php(base64.b64encode(SLASHED.encode()).decode())),
        "base64",
    ),
    "base64 as .NET writes it, in JSON": (
        SLASHED,
        in_json(base64.b64encode(SLASHED.encode()).decode().replace("+", "\\u002B")),
        "base64",
    ),
    "JSON in HTML": (QUOTED, html.escape(in_json(QUOTED)), "HTML-escaped"),
    "JSON in JSON in HTML": (QUOTED, html.escape(in_json(in_json(QUOTED))), "HTML-escaped"),
    "HTML in JSON": (QUOTED, in_script(html.escape(QUOTED)), "HTML-escaped"),
    "HTML in an address": (QUOTED, in_url(html.escape(QUOTED)), "HTML-escaped"),
    "JSON in an address": (QUOTED, in_url(in_php(QUOTED)), "URL-escaped"),
    "JSON in JSON in an address": (QUOTED, in_url(in_json(in_json(QUOTED))), "URL-escaped"),
    "a form": (SPACED, quote_plus(SPACED), "URL-escaped"),
    "a form in an address": (SPACED, in_url(quote_plus(SPACED)), "URL-escaped"),
    "JSON of a key": (KEY, in_json(KEY), "JSON-escaped"),
    "JSON in an address, of a key": (KEY, in_url(in_json(KEY)), "URL-escaped"),
    "HTML of a key, in numbers": (KEY, "".join(f"&#{ord(char)};" for char in KEY), "HTML-escaped"),
    "HTML of a key, in names": (KEY, KEY.replace("ä", "&auml;").replace("ö", "&ouml;"), "HTML-escaped"),
    "an address with a key": (KEY, in_url(KEY), "URL-escaped"),
    "an address with a key in Latin-1": (KEY, quote(KEY, safe="", encoding="latin-1"), "URL-escaped"),
    "base64 of a key as JSON": (KEY, in_base64(in_json(KEY)), "base64"),
    "JSON beyond Latin-1": (BEYOND_LATIN, in_json(BEYOND_LATIN), "JSON-escaped"),
    "HTML beyond Latin-1": (BEYOND_LATIN, "".join(f"&#x{ord(char):X};" for char in BEYOND_LATIN), "HTML-escaped"),
    "JSON in an address, beyond Latin-1": (BEYOND_LATIN, in_url(in_json(BEYOND_LATIN)), "URL-escaped"),
    "beyond Latin-1 as it is": (BEYOND_LATIN, BEYOND_LATIN, "plain"),
    "a secret with an equals sign": (SECRET, SECRET, "plain"),
    "a secret with all signs of escapes": ("%41&amp;\\u0041=41-----", "%41&amp;\\u0041=41-----", "plain"),
}


@pytest.mark.parametrize("case", NESTED)
def test_a_secret_is_found_in_an_escape_inside_another(case):
    secret, text, form = NESTED[case]
    found = list(LeakPatterns(Secret(secret)).find(b"<" + text.encode() + b">"))
    assert [leak.form for leak in found] == [form]
    assert not LeakPatterns(Secret(secret[:-2] + "ZZ")).is_in(text.encode())


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16-le", "utf-16-be"])
def test_a_key_beyond_ascii_is_found_in_files_of_each_encoding(encoding):
    assert LeakPatterns(Secret(KEY)).is_in(f"key = {KEY}".encode(encoding))


@pytest.mark.parametrize("case", NESTED)
def test_each_form_is_known_from_its_start_on(case):
    """The leak guard has to hold back what may become a secret, wherever it is cut."""
    secret, text, _ = NESTED[case]
    patterns, data = LeakPatterns(Secret(secret)), text.encode()
    leak = next(patterns.find(data))
    assert leak.end - leak.start <= patterns.reach
    for end in range(leak.start + 1, leak.end):
        assert patterns.begun_in(data[:end]) >= end - leak.start


@pytest.mark.parametrize(
    "secret", [SECRET, QUOTED, SPACED, KEY, "\\a\\b\\c\\d\\e\\f\\g\\h", '"/' * 12, "%5C" * 7 + "xyz"]
)
@pytest.mark.parametrize("part", ["\\", "%5C", "%25", "&amp;", "\\u0026amp;", "%26amp%3B", '\\"', "\\\\a", "ä", "+"])
def test_a_megabyte_of_the_beginnings_of_escapes_is_searched_in_seconds(secret, part):
    data = (part * (1 << 20))[: 1 << 20].encode()
    began = time.process_time()
    assert not LeakPatterns(Secret(secret)).is_in(data)
    assert time.process_time() - began < 5


def test_nothing_is_shown_of_a_secret_that_another_one_begins():
    several = [LeakPatterns(Secret("Zk9+aBxyzabc")), LeakPatterns(Secret("Zk9+aBxyzabcTAIL"))]
    for patterns in (several, several[::-1]):
        assert masked(b"<Zk9+aBxyzabcTAIL> and <Zk9+aBxyzabc>", patterns) == b"<***> and <***>"


def test_what_follows_base64_is_shown():
    text = base64.b64encode(b"q7Zt9vK3dWeXm1uRb")
    assert masked(text + b"\n\tmore", [LeakPatterns(Secret("q7Zt9vK3dWeXm1uRb"))]).endswith(b"\n\tmore")


def test_secrets_that_lie_over_each_other_are_shown_as_one():
    several = [LeakPatterns(Secret("abcdefghijkl")), LeakPatterns(Secret("ijklmnopqrst"))]
    assert masked(b"<abcdefghijklmnopqrst>", several) == b"<***>"
