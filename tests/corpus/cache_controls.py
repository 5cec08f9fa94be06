"""What applications and their frameworks say to caches, and what it means for a cookie that has to ride along.

`NOT_SHARED` rides as it is, `SHARED` takes no renewed cookie, `OTHERS` get `private`.
"""

from typing import Final

Headers = tuple[tuple[str, str], ...]


def _control(*values: str) -> list[Headers]:
    return [(("Cache-Control", value),) for value in values]


NOT_SHARED: Final[list[Headers]] = [
    *_control(
        "private",
        "no-store",
        "Private, Max-Age=60",
        "no-cache, no-store, must-revalidate",  # everybody's recipe, and Django's never_cache
        "max-age=0, no-cache, no-store, must-revalidate, private",
        "no-store, no-cache, must-revalidate, post-check=0, pre-check=0",  # PHP's, passed on by a proxy
        'private, no-cache="set-cookie", max-age=60',
        "public, private",  # the stricter one counts, RFC 9111 3
    ),
    (("Cache-Control", "max-age=60"), ("Cache-Control", "private")),
    (("CACHE-CONTROL", "NO-STORE"),),
    (("Cache-Control", "private"), ("CDN-Cache-Control", "no-store")),
    (("Cache-Control", "private"), ("X-Accel-Expires", "0")),
    (("cache-control", "no-store"), ("Surrogate-Control", 'no-store, content="ESI/1.0"')),
]

SHARED: Final[list[Headers]] = [
    *_control(
        "public",
        "public, max-age=3600",
        "max-age=3600, PUBLIC",
        "s-maxage=60",
        "max-age=0, s-maxage=86400, stale-while-revalidate=60",
        "S-MaxAge=60, must-revalidate",
        "public;max-age=60",  # wrong, and understood by some
        "public max-age=60",
        'public, private="set-cookie"',  # about that header only, RFC 9111 5.2.2.7
        'no-cache="set-cookie, private", public',
    ),
    (("Cache-Control", "no-cache"), ("Cache-Control", "public")),
    (("Cache-Control", "private"), ("CDN-Cache-Control", "max-age=60")),  # outranks the first, RFC 9213
    (("Cache-Control", "no-store"), ("Cloudflare-CDN-Cache-Control", "max-age=60")),
    (("Cache-Control", "no-store"), ("Vercel-CDN-Cache-Control", "s-maxage=60")),
    (("Cache-Control", "no-cache"), ("Netlify-CDN-Cache-Control", "public, durable")),
    (("X-LiteSpeed-Cache-Control", "public,max-age=60"),),
    (("Cache-Control", "private"), ("Surrogate-Control", "max-age=60+30")),
    (("cache-control", "no-cache"), ("surrogate-control", 'content="ESI/1.0, no-store", max-age=60')),
    (("X-Accel-Expires", "60"),),
    (("Cache-Control", "private"), ("x-accel-expires", "@1893456000")),
    (("Cache-Control", "no-store"), ("Edge-Control", "!no-store, max-age=1d")),
]

OTHERS: Final[list[Headers]] = [
    *_control(
        "no-cache",  # Flask's send_file
        "max-age=0",
        "no-cache, max-age=0",
        "max-age=0, must-revalidate",  # Rails', Netlify's
        "max-age=31536000, immutable",
        "No-Cache",
        "must-understand",
        'no-cache="set-cookie, private"',
        'private="set-cookie"',
        'community="a public place, public, s-maxage=1", max-age=5',
        'ext="no end, private, no-store',
        "x-public, notpublic=1, s-maxages=1",
        "private; max-age=60",
    ),
    (("Cache-Control", "no-cache"), ("Cache-Control", "max-age=0")),
    (("Cache-Control", "no-cache"), ("Vary", "*")),
    (("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding, cookie")),
    (("Cache-Control", "no-cache"), ("Set-Cookie", "theme=dark"), ("Set-Cookie", "lang=nl")),
    (("Cache-Control", "no-cache"), ("Access-Control-Allow-Origin", "*"), ("X-DNS-Prefetch-Control", "on")),
    (("Cache-Control", "no-cache"), ("X-Accel-Expires", "0"), ("Edge-Control", "no-store")),
    (("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Pragma", "no-cache")),
    (),
]

ALL: Final = [*NOT_SHARED, *SHARED, *OTHERS]
