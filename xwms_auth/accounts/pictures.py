"""Copies of people's pictures on this site: `PictureMirror`.

The `picture` of a `User` is a URL that somebody else chose. Shown as it is, it tells that server who visits which page;
downloaded carelessly, it opens the internal network to its owner. The mirror downloads it from public addresses only,
encodes it anew and stores it under a random name. Nothing in this package calls it; the application does.
"""

import os
import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeGuard

import anyio

from .._core.accounts.picture_errors import PictureError, PictureRefused, PictureUnavailable
from .._core.base.errors import ConfigError
from .._core.base.events import warning
from .._core.io.picture_download import Download, Network
from ..stores.thread_limit import ThreadLimit
from .picture_images import MAX_PIXELS_LIMIT, EncodedPicture, encode_anew

__all__ = [
    "FolderStorage",
    "PictureError",
    "PictureMirror",
    "PictureRefused",
    "PictureStorage",
    "PictureUnavailable",
]

MAX_BYTES = 2 * 1024 * 1024
"""Bytes of a download: a photograph of a telephone has two to four, a picture that was made for profiles far less."""

MAX_PIXELS = 16_000_000
"""Pixels of a picture, which take four bytes each while it is decoded: 64 MB."""

SIDE = 512
"""Pixels of the longer side of what is stored: twice what a profile page shows, for screens with dense pixels."""

TIMEOUT = 8.0
"""Seconds of a download, as of a call to XWMS."""

MAX_TIMEOUT = 60.0
"""Seconds: the longest that a download may take, since a request of a visitor often waits for it."""

MAX_REDIRECTS = 3
"""Redirects that are followed: a short link, the step to a storage service, and one to spare."""

MAX_THREADS = 4
"""Pictures that async code works on at once, in each event loop: each takes up to two times the pixels in memory."""

_NAME = re.compile(r"[0-9a-f]{32}\.(?:jpg|png)")

_threads = ThreadLimit("xwms_auth_pictures", MAX_THREADS)


class PictureStorage(Protocol):
    """Where pictures are kept. `PictureMirror` calls it, in async code from a thread.

    A name is 32 hexadecimal digits and `.jpg` or `.png`.
    """

    def save(self, name: str, data: bytes, content_type: str) -> None:
        """Keep a picture, whole or not at all. `content_type` is `image/jpeg` or `image/png`.

        An `OSError` becomes a `PictureUnavailable`; other exceptions reach the caller of the mirror.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove a picture. One that is not there is no error."""
        ...


class FolderStorage:
    """Pictures as files of one folder, which a web server may serve. It is made when it is needed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Once, so that a process that changes its directory goes on with the same folder.
        self._folder = Path(path).absolute()

    def save(self, name: str, data: bytes, content_type: str) -> None:
        """Write the file under another name first, so that nobody ever sees a part of it. Raises `OSError`."""
        if not _is_name(name):
            raise ValueError("this is not the name of a picture")
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}.part"
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._folder / name)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def delete(self, name: str) -> None:
        """Remove the file. A name that is not a picture's, such as `../app.py`, removes nothing. Raises `OSError`."""
        if _is_name(name):
            (self._folder / name).unlink(missing_ok=True)


class PictureMirror:
    """Downloads the pictures of people and keeps copies of them. Make one and keep it; threads and tasks share it.

    `max_bytes` limits the download, `max_pixels` the width times the height of what it holds, and `side` is the longer
    side, in pixels, to which a larger picture is reduced. `timeout`, in seconds or as a `timedelta`, is for a whole
    download with its lookups and redirects, of which `max_redirects` are followed.

    `insecure_allow_http` takes plain http, which anybody on the way can change. `insecure_allow_any_port` takes URLs
    with a port, so that other services of public machines can be reached. Neither opens an address that is not public.
    `insecure_network_for_tests` stands for the network in tests. Raises `ConfigError`.
    """

    def __init__(
        self,
        storage: PictureStorage,
        *,
        max_bytes: int = MAX_BYTES,
        max_pixels: int = MAX_PIXELS,
        side: int = SIDE,
        timeout: timedelta | float = TIMEOUT,
        max_redirects: int = MAX_REDIRECTS,
        insecure_allow_http: bool = False,
        insecure_allow_any_port: bool = False,
        insecure_network_for_tests: Network | None = None,
    ) -> None:
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if problems := [
            f"{name} {range_}"
            for name, is_right, range_ in (
                ("max_bytes", max_bytes > 0, "must be more than 0 bytes"),
                ("max_pixels", 0 < max_pixels <= MAX_PIXELS_LIMIT, f"must be from 1 to {MAX_PIXELS_LIMIT}"),
                ("side", side > 0, "must be more than 0 pixels"),
                ("timeout", 0 < seconds <= MAX_TIMEOUT, f"must be more than 0 and at most {MAX_TIMEOUT:.0f} seconds"),
                ("max_redirects", max_redirects >= 0, "must be 0 or more"),
            )
            if not is_right
        ]:
            raise ConfigError(problems)
        self._storage = storage
        self._max_pixels = max_pixels
        self._side = side
        self._download = Download(
            max_bytes=max_bytes,
            timeout=seconds,
            max_redirects=max_redirects,
            allow_http=insecure_allow_http,
            allow_any_port=insecure_allow_any_port,
            network=insecure_network_for_tests or Network(),
        )

    def fetch(self, url: str | None, *, replaces: str | None = None) -> str:
        """Download a picture and store it. The new name, which is random: 32 hexadecimal digits and `.jpg` or `.png`.

        `replaces` is the name of the picture that this one takes the place of; it is removed once the new one is
        stored, and may be None or unknown. Raises `PictureRefused`, also where `url` is None, or `PictureUnavailable`;
        then nothing has changed.
        """
        return self._keep(self._prepare(url), replaces)

    async def afetch(self, url: str | None, *, replaces: str | None = None) -> str:
        """The same for async code, on asyncio or trio. Cancelled during the download, it stores nothing.

        The work is done in threads, a few at a time, so a cancellation waits until the download's `timeout` at most.
        """
        limiter = _threads.limiter()
        picture = await anyio.to_thread.run_sync(self._prepare, url, limiter=limiter)
        return await anyio.to_thread.run_sync(self._keep, picture, replaces, limiter=limiter)

    def _prepare(self, url: str | None) -> EncodedPicture:
        if not url:
            raise PictureRefused("no_picture", "XWMS has none of this person")
        return encode_anew(self._download.get(url), max_pixels=self._max_pixels, side=self._side)

    def _keep(self, picture: EncodedPicture, replaces: str | None) -> str:
        name = f"{secrets.token_hex(16)}.{picture.extension}"
        try:
            self._storage.save(name, picture.data, picture.content_type)
        except OSError as fault:
            raise PictureUnavailable("storage", f"it cannot be stored: {type(fault).__name__}") from fault
        # A name that is not ours never reaches the storage, which may make a path of it.
        if _is_name(replaces):
            try:
                self._storage.delete(replaces)
            except Exception as fault:  # noqa: BLE001  the new picture is stored, and the caller needs its name
                warning("picture_not_removed", cause=type(fault).__name__)
        return name


def _is_name(name: object) -> TypeGuard[str]:
    """Whether this is the name of a picture, and so no path."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
