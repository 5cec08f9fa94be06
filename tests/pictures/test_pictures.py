"""What the picture mirror makes of the bytes it is given, what it stores, and when it removes the old picture."""

import inspect
import re
import subprocess
import sys
import threading
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import get_args

import anyio
import pytest
from PIL import Image

from tests.pictures.picture_images import encoded, image, png, png_that_claims
from tests.pictures.picture_servers import reply
from xwms_auth import ConfigError, XWMSError
from xwms_auth._core.accounts.picture_errors import RefusalReason, UnavailableReason
from xwms_auth.accounts.pictures import (
    FolderStorage,
    PictureError,
    PictureMirror,
    PictureRefused,
    PictureUnavailable,
)

URL = "http://pictures.example/anna.png"
HTML = b"<script>alert(document.cookie)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"


@pytest.fixture
def mirrored(mirror, server, folder):
    """Mirror these bytes; gives the stored ones."""

    def do(data, **headers):
        server.routes["/anna.png"] = reply(data, **headers)
        return (folder / mirror.fetch(URL)).read_bytes()

    return do


def opened(data):
    with Image.open(BytesIO(data)) as found:
        found.load()
        return found


# --- what is a picture ---


@pytest.mark.parametrize(
    ("kind", "mode", "stored"),
    [
        ("PNG", "RGB", "PNG"),
        ("PNG", "RGBA", "PNG"),
        ("PNG", "P", "PNG"),
        ("PNG", "L", "PNG"),
        ("PNG", "1", "PNG"),
        ("PNG", "LA", "PNG"),
        ("JPEG", "RGB", "JPEG"),
        ("JPEG", "L", "JPEG"),
        ("JPEG", "CMYK", "JPEG"),
        ("GIF", "P", "PNG"),
        ("WEBP", "RGB", "JPEG"),
    ],
)
def test_each_format_becomes_a_png_or_a_jpeg(kind, mode, stored, mirrored, folder):
    data = mirrored(encoded(image(mode), kind))
    found = opened(data)
    assert (found.format, found.size) == (stored, (64, 32))
    [path] = folder.iterdir()
    assert path.suffix == {"PNG": ".png", "JPEG": ".jpg"}[stored]


def test_the_stored_picture_shows_what_the_old_one_showed(mirrored):
    found = opened(mirrored(png())).convert("RGB")
    assert (found.getpixel((1, 1)), found.getpixel((62, 30))) == ((255, 0, 0), (0, 0, 255))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_transparency_stays(kind, mirrored):
    made = image("RGBA")
    made.paste((0, 0, 0, 0), (0, 0, 16, 16))
    found = opened(mirrored(encoded(made, kind)))
    assert (found.format, found.getpixel((0, 0))[3], found.getpixel((60, 30))[3]) == ("PNG", 0, 255)


def test_grey_with_sixteen_bits_stays_grey(mirrored):
    assert opened(mirrored(encoded(Image.new("I;16", (8, 8), 0x8000), "PNG"))).getpixel((4, 4)) == (128, 128, 128)


@pytest.mark.parametrize("content_type", ["image/svg+xml", "text/html", "application/octet-stream", ""])
def test_the_headers_and_the_url_do_not_say_what_a_picture_is(content_type, mirrored):
    assert opened(mirrored(encoded(image(), "JPEG"), Content_Type=content_type)).format == "JPEG"


@pytest.mark.parametrize(
    "data",
    [
        SVG,
        b'<?xml version="1.0"?>' + SVG,
        b"\xef\xbb\xbf" + SVG,
        b"<!doctype html><title>Anna</title>" + HTML,
        b"\n" + encoded(image(), "PNG"),
        HTML + encoded(image(), "PNG"),
        encoded(image(), "BMP"),
        encoded(image(), "TIFF"),
        encoded(image(), "ICO"),
        encoded(image(), "PDF"),
        encoded(image(), "EPS"),
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\x1f\x8b\x08\x00" + bytes(20),
        b"\x89PN",
        b"",
    ],
)
def test_svg_html_and_other_formats_are_refused_although_the_server_says_png(data, mirror, server, folder):
    server.routes["/anna.png"] = reply(data, Content_Type="image/png")
    with pytest.raises(PictureRefused) as refused:
        mirror.fetch(URL)
    assert refused.value.reason == "not_a_picture"
    assert not folder.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a/*" + HTML,
        b"GIF87a=1;" + HTML,
        b"\x89PNG\r\n\x1a\n" + HTML,
        b"\xff\xd8\xff\xe0" + HTML,
        b"RIFF\x00\x00\x00\x00WEBP" + HTML,
        encoded(image(), "PNG")[:-40],
        encoded(image(size=(640, 640)), "JPEG")[:-800],
        encoded(image(), "WEBP")[:-40],
        encoded(image(size=(640, 640)), "GIF")[:200],
    ],
)
def test_what_only_begins_like_a_picture_is_refused(data, mirror, server, folder):
    server.routes["/anna.png"] = reply(data)
    with pytest.raises(PictureRefused) as refused:
        mirror.fetch(URL)
    assert refused.value.reason == "broken"
    assert not folder.exists()


@pytest.mark.parametrize(
    "data",
    [
        encoded(image(), "PNG") + HTML,
        encoded(image(), "JPEG") + HTML,
        encoded(image(), "GIF") + HTML,
        encoded(image(), "WEBP") + HTML,
        encoded(image(), "JPEG", comment=HTML),
        encoded(image(), "GIF", comment=HTML),
        encoded(image(), "JPEG", icc_profile=HTML),
        encoded(image(), "WEBP", icc_profile=HTML),
        encoded(image(), "WEBP", xmp=HTML),
    ],
)
def test_a_picture_that_is_html_as_well_is_stored_without_the_html(data, mirrored):
    assert HTML in data
    stored = mirrored(data)
    assert b"script" not in stored
    assert opened(stored).size == (64, 32)


def test_text_in_a_png_is_not_stored(mirrored):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", HTML.decode())
    data = encoded(image(), "PNG", pnginfo=info)
    assert HTML in data
    assert b"script" not in mirrored(data)


def test_where_a_photograph_was_taken_is_not_stored_and_it_is_upright(mirrored):
    made = image()
    exif = made.getexif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Camera of Anna"
    exif.get_ifd(0x8825)[1] = "N"
    data = encoded(made, "JPEG", exif=exif)
    assert b"Exif" in data
    assert b"Camera" in data
    stored = mirrored(data)
    assert b"Exif" not in stored
    assert b"Camera" not in stored
    found = opened(stored)
    assert dict(found.getexif()) == {}
    assert found.size == (32, 64)
    assert found.getpixel((16, 4))[0] > 200  # the left, red half is above now


def test_every_orientation_shows_the_same_picture(mirrored):
    upright = image()
    upright.paste("green", (0, 16, 32, 32))  # so that no two sides are alike
    backwards = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    for orientation, turns in backwards.items():
        made = upright
        for turn in turns:
            made = made.transpose(turn)
        exif = made.getexif()
        exif[0x0112] = orientation
        stored = opened(mirrored(encoded(made, "PNG", exif=exif)))
        assert stored.convert("RGB").tobytes() == upright.tobytes(), orientation


def test_broken_metadata_is_no_reason_to_refuse_a_photograph(mirrored):
    assert opened(mirrored(encoded(image(), "JPEG", exif=b"Exif\x00\x00broken"))).size == (64, 32)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_becomes_its_first_picture(kind, mirrored):
    frames = [Image.new("RGB", (64, 32), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    found = opened(mirrored(data))
    assert getattr(found, "n_frames", 1) == 1
    red, green, blue = found.convert("RGB").getpixel((5, 5))
    assert red > 250
    assert green < 5
    assert blue < 5


# --- sizes ---


def test_a_large_picture_becomes_smaller_and_a_small_one_stays(make_mirror, server, folder):
    server.routes |= {"/a": reply(png((640, 320))), "/b": reply(png((40, 20))), "/c": reply(png((2000, 1)))}
    mirror = make_mirror(side=100)
    sizes = [opened((folder / mirror.fetch(f"http://pictures.example/{path}")).read_bytes()).size for path in "abc"]
    assert sizes == [(100, 50), (40, 20), (100, 1)]


@pytest.mark.parametrize("size", [(30_000, 30_000), (4001, 4000), (100_000, 161), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(size, mirror, server, folder):
    data = png_that_claims(*size)
    assert len(data) < 200
    server.routes["/anna.png"] = reply(data)
    with pytest.raises(PictureRefused) as refused:
        mirror.fetch(URL)
    assert refused.value.reason == "too_many_pixels"
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_pixels_are_counted_in_every_format(kind, make_mirror, server):
    server.routes["/anna.png"] = reply(encoded(image(), kind))
    assert make_mirror(max_pixels=64 * 32).fetch(URL)
    with pytest.raises(PictureRefused, match="too_many_pixels"):
        make_mirror(max_pixels=64 * 32 - 1).fetch(URL)


def test_a_frame_of_a_gif_that_is_larger_than_the_gif_counts(make_mirror, server):
    data = bytearray(encoded(image(size=(640, 640)), "GIF"))
    data[6:10] = b"\x01\x00\x01\x00"  # a screen of one pixel
    server.routes["/anna.png"] = reply(bytes(data))
    with pytest.raises(PictureRefused, match="too_many_pixels"):
        make_mirror(max_pixels=1000).fetch(URL)


def test_a_jpeg_with_thousands_of_scans_is_refused_before_it_is_decoded(mirror, server):
    """Each scan of a few bytes costs a pass over all pixels."""
    data = encoded(image(), "JPEG", progressive=True)
    end = data.rindex(b"\xff\xd9")
    last = data[data.rindex(b"\xff\xda") : end]
    server.routes["/anna.png"] = reply(data[:end] + last * 1000 + data[end:])
    with pytest.raises(PictureRefused, match="scans"):
        mirror.fetch(URL)
    server.routes["/anna.png"] = reply(data)
    assert mirror.fetch(URL)


# --- what is stored ---


def test_names_are_random_and_say_nothing_of_the_person_or_the_url(mirror, server):
    server.routes["/anna.png"] = reply(png())
    names = {mirror.fetch(URL) for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"[0-9a-f]{32}\.png", name) for name in names)


def test_the_old_picture_is_removed_once_the_new_one_is_stored(server, internet):
    class Storage:
        def __init__(self):
            self.calls = []

        def save(self, name, data, content_type):
            self.calls.append(("save", name, content_type))

        def delete(self, name):
            self.calls.append(("delete", name))

    storage = Storage()
    server.routes["/anna.png"] = reply(encoded(image(), "JPEG"))
    mirror = PictureMirror(storage, insecure_allow_http=True, insecure_network_for_tests=internet)
    old = mirror.fetch(URL)
    new = mirror.fetch(URL, replaces=old)
    assert storage.calls == [("save", old, "image/jpeg"), ("save", new, "image/jpeg"), ("delete", old)]


@pytest.mark.parametrize(
    "answer",
    [reply(SVG), reply(b"", status=500), reply(png_that_claims(9999, 9999)), reply(png(), Content_Length="99999")],
)
def test_a_failure_keeps_the_old_picture_and_leaves_nothing_new(answer, mirror, server, folder):
    server.routes |= {"/good.png": reply(png()), "/anna.png": answer}
    old = mirror.fetch("http://pictures.example/good.png")
    with pytest.raises(PictureError):
        mirror.fetch(URL, replaces=old)
    assert [path.name for path in folder.iterdir()] == [old]


BAD_NAMES = [
    "",
    ".",
    "..",
    "../secret.txt",
    "..\\secret.txt",
    "/etc/passwd",
    "secret.txt",
    "a/../../secret.txt",
    "0" * 32 + ".svg",
    "0" * 32 + ".png\n",
    "0" * 32 + ".png\x00",
    "../" + "0" * 32 + ".png",
    "A" * 32 + ".png",
    "０" * 32 + ".png",
    "0" * 32 + ".png",  # ours, and unknown
    5,
    b"0" * 32 + b".png",
    Path("../secret.txt"),
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_no_stored_pictures_removes_nothing(name, mirror, server, folder):
    server.routes["/anna.png"] = reply(png())
    folder.mkdir()
    kept = [folder / "secret.txt", folder.parent / "secret.txt", folder.parent / ("0" * 32 + ".png")]
    for path in kept:
        path.write_text("kept")
    new = mirror.fetch(URL, replaces=name)
    FolderStorage(folder).delete(name)
    assert all(path.exists() for path in [*kept, folder / new])


@pytest.mark.parametrize("name", BAD_NAMES[:-4])
def test_no_storage_is_asked_to_remove_what_no_picture_is_called(name, server, internet, folder):
    removed = []

    class Storage(FolderStorage):
        def delete(self, name):
            removed.append(name)

    server.routes["/anna.png"] = reply(png())
    mirror = PictureMirror(Storage(folder), insecure_allow_http=True, insecure_network_for_tests=internet)
    assert mirror.fetch(URL, replaces=name)
    assert removed == []


@pytest.mark.parametrize("name", ["../x.png", "x.png", "", "0" * 32 + ".html"])
def test_a_folder_takes_no_other_names(name, folder):
    with pytest.raises(ValueError, match="not the name of a picture"):
        FolderStorage(folder).save(name, b"", "image/png")
    assert not folder.exists()


def test_a_write_that_fails_half_way_leaves_no_file(mirror, server, folder, monkeypatch):
    def fail(_):
        raise OSError("no space left")

    server.routes["/anna.png"] = reply(png())
    old = mirror.fetch(URL)
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(PictureUnavailable) as unavailable:
        mirror.fetch(URL, replaces=old)
    assert unavailable.value.reason == "storage"
    assert [path.name for path in folder.iterdir()] == [old]


def test_a_folder_that_is_a_file_is_no_crash(mirror, server, folder):
    server.routes["/anna.png"] = reply(png())
    folder.write_text("a file")
    with pytest.raises(PictureUnavailable, match="storage"):
        mirror.fetch(URL)


def test_an_old_picture_that_cannot_be_removed_does_not_lose_the_new_one(server, internet, folder, caplog):
    class Storage(FolderStorage):
        def delete(self, name):
            raise RuntimeError("the bucket is read-only")

    server.routes["/anna.png"] = reply(png())
    mirror = PictureMirror(Storage(folder), insecure_allow_http=True, insecure_network_for_tests=internet)
    old = mirror.fetch(URL)
    new = mirror.fetch(URL, replaces=old)
    assert {path.name for path in folder.iterdir()} == {old, new}
    assert caplog.messages == ["picture_not_removed cause=RuntimeError"]


def test_the_folder_stays_the_same_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = FolderStorage("static/avatars")
    monkeypatch.chdir("/")
    storage.save("0" * 32 + ".png", b"data", "image/png")
    assert (tmp_path / "static" / "avatars" / ("0" * 32 + ".png")).read_bytes() == b"data"


# --- async ---


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_async_twin_does_the_same(backend, mirror, server, folder):
    async def main():
        old = await mirror.afetch(URL)
        new = await mirror.afetch(URL, replaces=old)
        with pytest.raises(PictureRefused):
            await mirror.afetch(None, replaces=new)
        return new

    server.routes["/anna.png"] = reply(png())
    new = anyio.run(main, backend=backend)
    assert [path.name for path in folder.iterdir()] == [new]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_event_loop_goes_on_during_a_download(backend, mirror, server):
    asked, go_on = threading.Event(), threading.Event()

    def answer(peer):
        asked.set()
        go_on.wait(10)
        peer.sendall(reply(png()))

    async def main():
        names = []

        async def fetch():
            names.append(await mirror.afetch(URL))

        async with anyio.create_task_group() as group:
            group.start_soon(fetch)
            await anyio.to_thread.run_sync(asked.wait, 10)
            go_on.set()
        return names

    server.routes["/anna.png"] = answer
    assert len(anyio.run(main, backend=backend)) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_request_that_is_cancelled_during_the_download_stores_and_removes_nothing(backend, mirror, server, folder):
    asked, go_on = threading.Event(), threading.Event()

    def answer(peer):
        asked.set()
        go_on.wait(10)
        peer.sendall(reply(png()))

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: mirror.afetch(URL, replaces=old))
            await anyio.to_thread.run_sync(asked.wait, 10)
            group.cancel_scope.cancel()
            go_on.set()

    server.routes |= {"/old.png": reply(png()), "/anna.png": answer}
    old = mirror.fetch("http://pictures.example/old.png")
    anyio.run(main, backend=backend)
    assert [path.name for path in folder.iterdir()] == [old]


# --- options and errors ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_bytes": 0},
        {"max_pixels": 0},
        {"max_pixels": 100_000_000},
        {"side": 0},
        {"timeout": 0},
        {"timeout": timedelta(minutes=2)},
        {"max_redirects": -1},
    ],
)
def test_a_wrong_option_is_named_at_the_start(wrong, folder):
    with pytest.raises(ConfigError) as error:
        PictureMirror(FolderStorage(folder), **wrong)
    [problem] = error.value.problems
    assert problem.startswith(next(iter(wrong)))


def test_all_wrong_options_are_named_at_once(folder):
    with pytest.raises(ConfigError) as error:
        PictureMirror(FolderStorage(folder), max_bytes=0, side=0, timeout=-1)
    assert len(error.value.problems) == 3


def test_a_timedelta_is_a_timeout(make_mirror, server):
    server.routes["/anna.png"] = reply(png())
    assert make_mirror(timeout=timedelta(seconds=20)).fetch(URL)


def test_an_error_says_no_more_than_the_host(mirror, server):
    server.routes["/anna.png?signature=secret"] = reply(status=403)
    with pytest.raises(PictureUnavailable) as unavailable:
        mirror.fetch(f"{URL}?signature=secret")
    error = unavailable.value
    assert str(error) == "picture_unavailable: status: pictures.example answered 403"
    assert isinstance(error, XWMSError)
    assert (error.code, error.status, error.upstream_status) == ("picture_unavailable", 503, 403)


def test_without_pillow_the_import_names_the_command_that_installs_it(tmp_path):
    (tmp_path / "PIL.py").write_text("raise ModuleNotFoundError(\"No module named 'PIL'\", name='PIL')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import xwms_auth.accounts.pictures"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: xwms_auth.accounts.pictures needs Pillow: pip install 'xwms-auth[pictures]'" in done.stderr


def test_the_page_lists_every_option_with_its_default_and_every_reason():
    page = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.M))
    options = dict(inspect.signature(PictureMirror).parameters)
    del options["storage"], options["insecure_network_for_tests"]
    assert {name: str(option.default) for name, option in options.items()} == {
        name: default.split("`")[1].replace("_", "") for name, default in rows.items() if name in options
    }
    told = set(re.findall(r"^\| `picture_(refused|unavailable)` \| `(\w+)` \|", page, re.M))
    assert told == {("refused", reason) for reason in get_args(RefusalReason)} | {
        ("unavailable", reason) for reason in get_args(UnavailableReason)
    }
