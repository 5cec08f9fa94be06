"""The leak guard: what an application would send with a secret in it, and what is sent instead."""

import gzip
import zlib
from typing import Any

import pytest

from tests.leaks.guarded import (
    CLIENT_SECRET,
    FORMS,
    HALVES,
    HTML,
    SECRETS,
    SESSION_SECRET,
    XWMSAuth,
    assert_page,
    config,
    over_wsgi,
)

pytestmark = pytest.mark.usefixtures("logged")

# --- what is found ---


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("form", FORMS)
def test_a_body_with_a_secret_becomes_an_error_page_and_the_log_says_which_and_how(served, logged, name, form):
    sent = served([b"<p>", FORMS[form](SECRETS[name]), b"</p>"], [HTML], config(), whole=list)
    assert_page(sent, logged, f"{name} is in the body, {form.split()[0]}", "path='/'")


@pytest.mark.parametrize("form", [form for form in FORMS if form != "UTF-16"])
def test_a_header_with_a_secret_becomes_an_error_page(served, logged, form):
    sent = served([b"fine"], [HTML, (b"x-debug", b"a " + FORMS[form](CLIENT_SECRET))], config())
    assert_page(sent, logged, "the client secret is in the header x-debug")
    assert b"x-debug" not in dict(sent.headers)


def test_a_secret_as_the_name_of_a_header_or_in_the_path_is_not_in_the_log(served, logged):
    sent = served([b"fine"], [HTML, (SESSION_SECRET.encode(), b"1")], config(), path=f"/{SESSION_SECRET}/a")
    assert_page(sent, logged, "a session secret is in the name of a header", "path='/***/a'")


def test_a_secret_in_base64_that_begins_in_the_name_of_a_header_and_ends_in_its_value_becomes_an_error_page(
    served, logged
):
    written = FORMS["base64 0"](CLIENT_SECRET)
    sent = served([b"fine"], [HTML, (written[:20], written[20:])], config())
    assert_page(sent, logged, "cause='in the headers'")


def test_halves_of_a_secret_in_the_name_and_the_value_of_a_header_are_no_secret(served):
    halves = SESSION_SECRET[:20].encode(), SESSION_SECRET[20:].encode()
    assert served([b"fine"], [HTML, halves], config()).body == b"fine"


def test_a_response_without_a_secret_arrives_as_it_was_sent(served):
    pieces = [b"one ", b"two %", b" three &#x71; ", CLIENT_SECRET[:-1].encode(), b" and ", SESSION_SECRET[:9].encode()]
    for how in ({}, {"whole": list}, {"write": True}):
        sent = served(pieces, [HTML, (b"content-length", b"88")], config(), **how)
        assert (sent.status, sent.cut) == (200, "")
        assert sent.body == b"".join(pieces)
        assert dict(sent.headers)[b"content-length"] == b"88"


@pytest.mark.leaks("it shows what the guard is for")
def test_without_the_option_nothing_is_looked_at(served):
    sent = served([CLIENT_SECRET.encode()], [HTML], config(leak_guard=False))
    assert (sent.status, sent.body) == (200, CLIENT_SECRET.encode())


# --- streams ---


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_is_cut_before_the_first_byte_of_a_secret_wherever_its_pieces_are_cut(served, form):
    written = FORMS[form](CLIENT_SECRET)
    clean = b"." * 2000 + b" "
    for size in (1, 2, 3, 7, len(written) - 1):
        pieces = [clean, *(written[at : at + size] for at in range(0, len(written), size)), b" the end"]
        sent = served(pieces, [HTML], config())
        assert sent.status == 200
        assert sent.cut == f"SecretInResponse: secret_in_response: the client secret is in the body, {form.split()[0]}"
        # Base64 has characters before those of the secret alone, where that does not begin at a multiple of three.
        before = {"base64 1": 2, "base64 2": 3}.get(form, 0)
        assert sent.body in [clean + written[:count] for count in range(before + 1)]


def test_a_secret_in_pieces_at_the_beginning_of_a_stream_becomes_a_page(served, logged):
    pieces = [bytes((byte,)) for byte in CLIENT_SECRET.encode()]
    assert_page(served(pieces, [HTML], config()), logged, "the client secret is in the body")
    assert_page(served(iter(pieces), [HTML], config(), write=True), logged)


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_pieces_of_a_whole_body_are_read_as_one_and_a_clean_body_stays_the_object_that_it_is(served, logged, kind):
    pieces = [half.encode() for half in HALVES]
    assert_page(served(pieces, [HTML], config(), whole=kind), logged, "the client secret is in the body, plain")
    body = kind([b"one ", b"two"])  # of which a server may take the length

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    assert XWMSAuth(app, config())({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None) is body


def test_a_status_with_a_secret_becomes_an_error_page(logged):
    sent = over_wsgi([b"fine"], [HTML], config(), status=f"200 {CLIENT_SECRET}")
    assert_page(sent, logged, "the client secret is in the header the status, plain")


def test_an_old_application_that_writes_is_cut_off_before_a_secret(logged):
    sent = over_wsgi([b"." * 2000, CLIENT_SECRET.encode(), b"more"], [HTML], config(), write=True)
    assert (sent.status, sent.body) == (200, b"." * 2000)
    assert sent.cut == "SecretInResponse: secret_in_response: the client secret is in the body, plain"
    assert "cut off there" in logged.text


def test_an_event_stream_is_not_held_back_and_ends_before_the_event_that_completes_a_secret(served):
    stream = (b"content-type", b"text/event-stream")
    half = len(SESSION_SECRET) // 2
    events = [b"data: q7\n\n", f"data: {SESSION_SECRET[:half]}\n\n".encode(), b"data: and on\n\n"]
    assert served([*events], [stream], config()).body == b"".join(events)
    sent = served([*events, f"data: {SESSION_SECRET}\n\n".encode(), b"data: more\n\n"], [stream], config())
    assert sent.body == b"".join(events)
    assert sent.cut


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "deflate without a header"])
def test_a_compressed_body_is_opened(served, logged, encoding):
    def packed(text: bytes) -> bytes:
        if encoding == "gzip":
            return gzip.compress(text)
        packer = zlib.compressobj(wbits=15 if encoding == "deflate" else -15)
        return packer.compress(text) + packer.flush()

    headers = [HTML, (b"content-encoding", encoding.split()[0].encode())]
    long = b"".join(b"%d " % number for number in range(30_000))
    for text in (b"short", long):
        body = packed(text)
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        assert served(pieces, headers, config()).body == body
    assert_page(served([packed(b"a " + CLIENT_SECRET.encode())], headers, config()), logged)
    even = b"." * ((1 << 17) - len(CLIENT_SECRET) // 2)
    assert_page(served([packed(even + CLIENT_SECRET.encode())], headers, config(), whole=list), logged)
    body = packed(long + CLIENT_SECRET.encode())
    sent = served([body[at : at + 1000] for at in range(0, len(body), 1000)], headers, config())
    assert sent.cut
    assert body.startswith(sent.body)
    assert sent.body != body


@pytest.mark.parametrize("wbits", [31, 15, -15, None], ids=["gzip", "deflate", "deflate without a header", "neither"])
def test_a_compressed_body_is_opened_however_it_is_cut(served, wbits):
    text = body = f"{CLIENT_SECRET} and more".encode()
    if wbits is not None:
        packer = zlib.compressobj(wbits=wbits)
        body = packer.compress(text) + packer.flush()
    headers = [HTML, (b"content-encoding", b"gzip" if wbits == 31 else b"deflate")]
    for size in (1, 2, 3):
        sent = served([body[at : at + size] for at in range(0, len(body), size)], headers, config())
        assert sent.cut or sent.status == 500
        assert body not in sent.body


@pytest.mark.parametrize("lines", [[b"identity", b"gzip"], [b"gzip", b"identity"], [b"gzip, identity"], [b"X-GZIP"]])
def test_a_compressed_body_is_opened_however_its_encoding_is_written(served, logged, lines):
    body = gzip.compress(CLIENT_SECRET.encode())
    sent = served([body], [HTML, *((b"Content-Encoding", line) for line in lines)], config(), whole=True)
    assert_page(sent, logged)


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"deflate"])
def test_a_body_that_is_not_what_its_encoding_says_is_read_as_it_stands(served, logged, encoding):
    headers = [HTML, (b"content-encoding", encoding)]
    assert served([b"in ", b"clear"], headers, config()).body == b"in clear"
    assert_page(served([b"a " + CLIENT_SECRET.encode()], headers, config()), logged)
    assert_page(served([gzip.compress(b"a") + CLIENT_SECRET.encode()], headers, config()), logged)


@pytest.mark.parametrize(("lines", "told"), [([b"br"], "br"), ([b"gzip", b"br"], "gzip, br"), ([b"zstd,"], "zstd")])
def test_a_body_that_cannot_be_opened_is_named_once_in_the_log(served, logged, lines, told):
    for _ in range(2):
        served([b"\x0b\x02\x80hello\x03"], [HTML, *((b"content-encoding", line) for line in lines)], config())
    assert f"leak_guard_cannot_read what='a body with Content-Encoding {told}'" in logged.text
