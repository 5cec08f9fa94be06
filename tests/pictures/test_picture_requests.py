"""Where the picture mirror goes, and where it never goes (SSRF)."""

import socket
import ssl
import threading

import pytest

from tests.browser.servers import self_signed
from tests.pictures.picture_images import png
from tests.pictures.picture_servers import ALSO_PUBLIC, PUBLIC, Internet, PictureServer, Trap, redirect, reply
from xwms_auth._core.io.public_addresses import is_public
from xwms_auth.accounts.pictures import FolderStorage, PictureMirror, PictureRefused, PictureUnavailable

URL = "http://pictures.example/anna.png"

NOT_PUBLIC = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
    168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
    192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1 198.19.255.255
    198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::2 ::127.0.0.1 ::93.184.215.14 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:93.184.215.14
    ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 64:ff9b:1::93.184.215.14
    100::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::
    2002:5db8:d70e:: 2620:4f:8000::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::1%1 fe80::1%lo
    fec0::1 feff::1 ff02::1 ff0e::1 2606:4700::1111%1
    2130706433 017700000001 0x7f000001 0177.0.0.1 0x7f.1 127.1 127.0.1 93.184.215.014 localhost pictures.example
""".split()

PUBLIC_ONES = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.215.14 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
    168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.1 172.15.255.255 172.32.0.1 192.0.1.1 192.167.255.255
    192.169.0.1 198.17.255.255 198.20.0.1 223.255.255.255
    2001:200::1 2001:4860:4860::8888 2003::1 2606:4700:4700::1111 2a00:1450:4001::1 64:ff9b::93.184.215.14
""".split()


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_before_anything_connects(address, mirror, internet, server, trap):
    assert not is_public(address)
    internet.names["pictures.example"] = [[address]]
    with pytest.raises(PictureRefused) as refused:
        mirror.fetch(URL)
    assert refused.value.reason == "address"
    assert internet.connected == server.heads == []


@pytest.mark.parametrize("address", PUBLIC_ONES)
def test_a_public_address_is_public(address):
    assert is_public(address)


LOOPBACK_NOTATIONS = """
    127.0.0.1 127.1 127.0.1 127.0.0.1. 127.000.000.001 0127.0.0.1 2130706433 017700000001 0x7f000001 0x7F.1 0x7f.0.0.1
    0177.0.0.1 0177.0.0.01 0 0.0.0.0 0x0 127.0.0.1.nip%2eio 127。0。0。1 １２７.0.0.1 ①②⑦.0.0.1 127.0.0.0x1
    localhost LOCALHOST localhost. app.localhost app.localhost. ｌocalhost loc%61lhost localhost%00.example.com
    [::1] [::] [0:0:0:0:0:0:0:1] [0000::0001] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:127.0.0.1]
    [0:0:0:0:0:ffff:7f00:1] [::1%25lo] [::1%lo] [::1%1] [fe80::1%25lo] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
    [2002:7f00:1::] [fec0::1] [fd00:ec2::254] [::1 ::1] ::1 [127.0.0.1] [v1.x] 127.0.0.1\\ \\127.0.0.1 router intranet.
    user@127.0.0.1 user:password@127.0.0.1 pictures.example@127.0.0.1 127.0.0.1#@pictures.example 127.0.0.1?.example
    -127.0.0.1 127..1 .127.0.0.1 ..
""".split(" ")


@pytest.mark.parametrize("host", [each.strip() for each in LOOPBACK_NOTATIONS if each.strip()])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_notation_of_a_host_reaches_this_machine_although_ports_and_http_are_allowed(host, scheme, folder, trap):
    """With the real network: a server really listens."""
    v6 = Trap(socket.AF_INET6) if socket.has_ipv6 else None
    mirror = PictureMirror(FolderStorage(folder), insecure_allow_http=True, insecure_allow_any_port=True)
    try:
        for listener in filter(None, (trap, v6)):
            with pytest.raises(PictureRefused) as refused:
                mirror.fetch(f"{scheme}://{host}:{listener.port}/")
            assert refused.value.reason in {"url", "address"}
            assert listener.is_untouched
    finally:
        if v6 is not None:
            v6.close()
    assert not folder.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example/",
        "HTTP://pictures.example/",
        "ftp://pictures.example/",
        "file:///etc/passwd",
        "file://pictures.example/etc/passwd",
        "gopher://pictures.example/",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "//pictures.example/anna.png",
        "/etc/passwd",
        "pictures.example",
        "https:pictures.example",
        "https:/pictures.example",
        "https:///pictures.example",
        "https://",
        "https:// pictures.example/",
        " https://pictures.example/",
        "https://pictures.example/a b",
        "https://pictures.example/\r\nX-Header: 1",
        "https://pictures.example/\n",
        "https://pictures.example/\\x",
        "https://pictures.example\\@127.0.0.1/",
        "https://anna@pictures.example/",
        "https://anna:secret@pictures.example/",
        "https://@pictures.example/",
        "https://pictures.example./",
        "https://pictures..example/",
        "https://pictures_.example/",
        "https://-pictures.example/",
        "https://pictüres.example/",
        "https://pictures%2eexample/",
        "https://pictures.example:/",
        "https://pictures.example:0/",
        "https://pictures.example:0443/",
        "https://pictures.example:65536/",
        "https://pictures.example:80/",
        "https://pictures.example:8443/",
        "https://pictures.example:22/",
        "https://pictures.example:+443/",
        "https://[2606:4700::1111/",
        "https://2606:4700::1111/",
        "https://[2606:4700:0:0::1111]/",
        "https://[2606:4700::1111]x/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 126 + "example/",
        "https://pictures.example/" + "a" * 4096,
    ],
)
def test_a_url_that_is_not_plain_https_is_refused_before_anything_is_looked_up(url, make_mirror, internet):
    with pytest.raises(PictureRefused) as refused:
        make_mirror(insecure_allow_http=False).fetch(url)
    assert refused.value.reason == "url"
    assert internet.lookups == internet.connected == []


@pytest.mark.parametrize("url", [None, ""])
def test_a_person_without_a_picture_is_told_apart_and_keeps_the_old_one(url, mirror, server, folder):
    server.routes["/anna.png"] = reply(png())
    old = mirror.fetch(URL)
    with pytest.raises(PictureRefused) as refused:
        mirror.fetch(url, replaces=old)
    assert refused.value.reason == "no_picture"
    assert [path.name for path in folder.iterdir()] == [old]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://pictures.example/a/b.png?size=96&sig=%2F*~'()", "/a/b.png?size=96&sig=%2F*~'()"),
        ("HTTP://Pictures.EXAMPLE:80/a", "/a"),
        ("http://pictures.example", "/"),
        ("http://pictures.example?a", "/?a"),
        ("http://pictures.example/a#fragment", "/a"),
        ("http://93.184.215.14/a", "/a"),
        (f"http://[{ALSO_PUBLIC}]/a", "/a"),
    ],
)
def test_ordinary_urls_are_fetched(url, path, mirror, server):
    server.routes[path] = reply(png())
    assert mirror.fetch(url).endswith(".png")


def test_a_port_is_connected_to_only_where_the_application_has_allowed_it(make_mirror, server):
    server.routes["/"] = reply(png())
    assert make_mirror(insecure_allow_any_port=True).fetch("http://pictures.example:8080/")
    assert b"Host: pictures.example:8080\r\n" in server.heads[0]


# --- rebinding ---


def test_the_name_is_looked_up_once_and_the_connection_goes_to_that_address(mirror, internet, server):
    """DNS rebinding: the second answer would be a private address."""
    internet.names["pictures.example"] = [[PUBLIC], ["127.0.0.1"]]
    server.routes["/anna.png"] = reply(png())
    assert mirror.fetch(URL)
    assert internet.lookups == ["pictures.example"]
    assert internet.connected == [[PUBLIC]]


def test_a_name_that_turns_private_is_refused_at_the_redirect_to_itself(mirror, internet, server):
    internet.names["pictures.example"] = [[PUBLIC], ["169.254.169.254"]]
    server.routes["/anna.png"] = redirect("/latest/meta-data/")
    with pytest.raises(PictureRefused, match="not public"):
        mirror.fetch(URL)
    assert internet.lookups == ["pictures.example"] * 2
    assert internet.connected == [[PUBLIC]]


@pytest.mark.parametrize("private", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%lo", "::ffff:10.0.0.1"])
@pytest.mark.parametrize("private_first", [True, False])
def test_one_address_that_is_not_public_among_public_ones_refuses_all(private, private_first, mirror, internet):
    found = [PUBLIC, ALSO_PUBLIC, private]
    internet.names["pictures.example"] = [found[::-1] if private_first else found]
    with pytest.raises(PictureRefused, match="not public"):
        mirror.fetch(URL)
    assert internet.connected == []


def test_all_public_addresses_of_a_name_may_be_tried(mirror, internet, server):
    internet.names["pictures.example"] = [[ALSO_PUBLIC, PUBLIC]]
    server.routes["/anna.png"] = reply(png())
    assert mirror.fetch(URL)
    assert internet.connected == [[ALSO_PUBLIC, PUBLIC]]


def test_a_name_that_does_not_exist_is_no_refusal(mirror, internet):
    internet.names["pictures.example"] = [[]]
    with pytest.raises(PictureUnavailable) as unavailable:
        mirror.fetch("http://nowhere.example/")
    assert unavailable.value.reason == "network"


# --- redirects ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/b.png", "b.png", "http://cdn.example/b.png", "//cdn.example/b.png"])
def test_redirects_are_followed_each_after_a_lookup_of_its_own(status, location, mirror, internet, server):
    internet.names["cdn.example"] = [[ALSO_PUBLIC]]
    server.routes |= {"/anna.png": redirect(location, status), "/b.png": reply(png())}
    assert mirror.fetch(URL)
    assert internet.lookups == ["pictures.example", "cdn.example" if "cdn" in location else "pictures.example"]
    assert b"Referer" not in server.heads[1]


@pytest.mark.parametrize(
    "host",
    """
    127.0.0.1 127.1 2130706433 0x7f.1 localhost app.localhost 10.0.0.1 192.168.1.1 169.254.169.254 100.100.100.200
    168.63.129.16 [::1] [::ffff:127.0.0.1] [::ffff:169.254.169.254] [fd00:ec2::254] [fe80::1] [64:ff9b::7f00:1]
    [2002:7f00:1::] private.example mapped.example metadata.example user@private.example
    """.split(),
)
def test_a_redirect_to_an_address_that_is_not_public_is_not_followed(host, mirror, internet, server, trap):
    internet.names |= {
        "private.example": [["10.1.2.3"]],
        "mapped.example": [["::ffff:127.0.0.1"]],
        "metadata.example": [["169.254.169.254"]],
    }
    server.routes["/anna.png"] = redirect(f"http://{host}/")
    with pytest.raises(PictureRefused) as refused:
        mirror.fetch(URL)
    assert refused.value.reason in {"url", "address"}
    assert internet.connected == [[PUBLIC]]
    assert len(server.heads) == 1


def test_a_redirect_to_a_listening_server_of_this_machine_reaches_nothing(make_mirror, server, trap):
    mirror = make_mirror(insecure_allow_any_port=True)
    for number, host in enumerate(("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1")):
        server.routes[f"/{number}"] = redirect(f"http://{host}:{trap.port}/")
        with pytest.raises(PictureRefused):
            mirror.fetch(f"http://pictures.example/{number}")
    assert trap.is_untouched


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://pictures.example/",
        "gopher://pictures.example:70/_",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http://pictures.example:22/",
        "http://pictures.example\\@127.0.0.1/",
        "http://[::1",
        "http://pictüres.example/",
        "http://pictures.example/\tx",
    ],
)
def test_a_redirect_to_what_is_no_plain_url_is_not_followed(location, mirror, internet, server):
    server.routes["/anna.png"] = redirect(location)
    with pytest.raises(PictureRefused) as refused:
        mirror.fetch(URL)
    assert refused.value.reason == "url"
    assert internet.connected == [[PUBLIC]]


def test_more_redirects_than_allowed_are_refused(make_mirror, server):
    server.routes |= {f"/{number}": redirect(f"/{number + 1}") for number in range(3)} | {"/3": reply(png())}
    assert make_mirror(max_redirects=3).fetch("http://pictures.example/0")
    for allowed in range(3):
        with pytest.raises(PictureRefused) as refused:
            make_mirror(max_redirects=allowed).fetch("http://pictures.example/0")
        assert refused.value.reason == "redirects"


@pytest.mark.parametrize("answer", [reply(status=302), reply(status=302, Location="/a", location="/b")])
def test_a_redirect_to_none_or_to_two_addresses_is_not_followed(answer, mirror, server):
    server.routes["/anna.png"] = answer
    with pytest.raises(PictureUnavailable) as unavailable:
        mirror.fetch(URL)
    assert (unavailable.value.reason, unavailable.value.upstream_status) == ("status", 302)


# --- what is sent ---


def test_a_request_says_no_more_than_it_must(mirror, server, monkeypatch, tmp_path):
    """No cookie of an earlier answer, nothing from `.netrc`, no Referer, and no compression asked for."""
    (tmp_path / ".netrc").write_text("machine pictures.example login anna password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    server.routes["/first.png"] = reply(png(), Set_Cookie="visitor=1")
    server.routes["/anna.png"] = reply(png())
    mirror.fetch("http://pictures.example/first.png")
    mirror.fetch(URL)
    assert server.heads[1].split(b"\r\n") == [
        b"GET /anna.png HTTP/1.1",
        b"Host: pictures.example",
        b"Accept: image/png, image/jpeg, image/webp, image/gif",
        b"Accept-Encoding: identity",
        b"User-Agent: xwms-auth",
        b"Connection: close",
        b"",
        b"",
    ]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_proxies_of_the_environment_are_not_used(variable, mirror, server, trap, monkeypatch):
    monkeypatch.setenv(variable, f"http://127.0.0.1:{trap.port}")
    server.routes["/anna.png"] = reply(png())
    assert mirror.fetch(URL)
    assert trap.is_untouched


# --- TLS ---


@pytest.fixture
def secure(tmp_path, folder):
    """Make a server with a certificate for these names and a mirror, which trusts it or not."""
    servers = []

    def make(*hosts, trusted=True):
        certificate = self_signed(tmp_path, *hosts)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        asked = []
        context.sni_callback = lambda _socket, name, _context: asked.append(name)
        server = PictureServer(context)
        servers.append(server)
        trust = ssl.create_default_context(cafile=certificate.certificate) if trusted else None
        internet = Internet(server.port, trust)
        return server, PictureMirror(FolderStorage(folder), insecure_network_for_tests=internet), asked

    yield make
    for server in servers:
        server.close()


def test_tls_is_verified_against_the_name_which_is_sent_although_the_address_was_connected_to(secure):
    server, mirror, asked = secure("pictures.example")
    server.routes["/anna.png"] = reply(png())
    assert mirror.fetch("https://pictures.example/anna.png")
    assert mirror.fetch("https://pictures.example:443/anna.png")
    assert asked == ["pictures.example"] * 2


@pytest.mark.parametrize(("host", "trusted"), [("other.example", True), ("pictures.example", False)])
def test_a_certificate_of_another_name_or_of_nobody_is_refused_before_anything_is_sent(host, trusted, secure):
    server, mirror, _ = secure(host, trusted=trusted)
    with pytest.raises(PictureUnavailable) as unavailable:
        mirror.fetch("https://pictures.example/anna.png")
    assert (unavailable.value.reason, unavailable.value.code) == ("network", "picture_unavailable")
    assert "SSLCertVerificationError" in unavailable.value.cause
    assert server.heads == []


def test_a_redirect_from_https_to_http_is_refused(secure):
    server, mirror, _ = secure("pictures.example")
    server.routes["/anna.png"] = redirect("http://pictures.example/anna.png")
    with pytest.raises(PictureRefused, match="not https"):
        mirror.fetch("https://pictures.example/anna.png")


# --- sizes and times ---


def test_a_body_of_more_bytes_than_allowed_is_refused_whatever_its_headers_say(make_mirror, server):
    picture = png()
    long = make_mirror(max_bytes=len(picture) - 1)
    lies = [
        reply(picture),
        reply(picture, Content_Length=""),
        reply(picture, Content_Length="") + b"x" * 100,
        chunked(picture),
    ]
    for number, answer in enumerate(lies):
        server.routes[f"/{number}"] = answer
        with pytest.raises(PictureRefused) as refused:
            long.fetch(f"http://pictures.example/{number}")
        assert refused.value.reason == "too_large"


def chunked(body):
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return reply(Content_Length="", Transfer_Encoding="chunked") + chunks + b"0\r\n\r\n"


def test_a_picture_of_exactly_the_allowed_size_and_in_chunks_is_taken(make_mirror, server):
    picture = png()
    server.routes |= {"/a": reply(picture), "/b": chunked(picture), "/c": reply(picture, Content_Length="")}
    mirror = make_mirror(max_bytes=len(picture))
    assert len({mirror.fetch(f"http://pictures.example/{path}") for path in "abc"}) == 3


def test_a_body_without_end_is_cut_at_the_limit(make_mirror, server):
    def endless(peer):
        peer.sendall(reply(Content_Length=""))
        while True:  # until the mirror hangs up
            peer.sendall(b"x" * 65536)

    server.routes["/anna.png"] = endless
    with pytest.raises(PictureRefused, match="too_large"):
        make_mirror().fetch(URL)


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (lambda body: reply(body, Content_Length=str(len(body) + 1)), PictureUnavailable, "network"),
        (lambda body: reply(body, Content_Length=str(len(body) // 2)), PictureRefused, "broken"),
        (lambda body: reply(body, Content_Length="-1"), PictureUnavailable, "network"),
        (lambda body: chunked(body)[:-3], PictureUnavailable, "network"),
        (lambda body: b"SSH-2.0-OpenSSH_9.6\r\n", PictureUnavailable, "network"),
        (lambda body: b"", PictureUnavailable, "network"),
        (lambda body: reply(body, status=404), PictureUnavailable, "status"),
        (lambda body: reply(body, status=206), PictureUnavailable, "status"),
        (lambda body: reply(status=304), PictureUnavailable, "status"),
        (lambda body: reply(status=101, Upgrade="x", Connection="upgrade"), PictureUnavailable, "network"),
    ],
)
def test_an_answer_that_is_not_a_whole_picture_is_not_stored(answer, error, reason, mirror, server, folder):
    server.routes["/anna.png"] = answer(png())
    with pytest.raises(error) as raised:
        mirror.fetch(URL)
    assert raised.value.reason == reason
    assert not folder.exists()


def drip(peer):
    """A byte at a time, for as long as anybody listens."""
    answer = reply(Content_Length="1000000")
    more = iter(lambda: 0, 1)
    pause = threading.Event()
    for byte in [*answer, *(next(more) for _ in range(100_000))]:
        peer.sendall(bytes([byte]))
        pause.wait(0.01)


def silence(peer):
    peer.recv(1)  # until the mirror hangs up


@pytest.mark.parametrize("slowness", [drip, silence])
def test_a_slow_answer_ends_at_the_timeout_of_the_whole_download(slowness, make_mirror, server, folder):
    server.routes["/anna.png"] = slowness
    with pytest.raises(PictureUnavailable) as unavailable:
        make_mirror(timeout=0.3).fetch(URL)
    assert unavailable.value.reason == "timeout"
    assert not folder.exists()


def test_redirects_do_not_begin_the_time_anew(make_mirror, server):
    server.routes["/anna.png"] = redirect("/anna.png")
    with pytest.raises(PictureUnavailable, match="timeout"):
        make_mirror(timeout=0.3, max_redirects=1_000_000).fetch(URL)


def test_a_tls_handshake_that_hangs_ends_at_the_timeout(folder, trap):
    mirror = PictureMirror(FolderStorage(folder), timeout=0.3, insecure_network_for_tests=Internet(trap.port))
    with pytest.raises(PictureUnavailable, match="timeout"):
        mirror.fetch("https://pictures.example/")
