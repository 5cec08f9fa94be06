"""A name for the browser that somebody logs in with, so that they recognise it in a list: "Firefox on Linux".

Browsers lie about themselves for compatibility's sake, so this is for eyes only. Nothing may be decided by it.

Knows: headers.
Must not: keep a header, which would tell more about a person than their list needs.
"""

from .messages import Request

# In this order: nearly every browser also claims to be Chrome, and Chrome to be Safari.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Safari/", "Safari"),
)
# And an Android calls itself Linux, an iPhone "like Mac OS X".
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_name(request: Request) -> str | None:
    """The browser and the system a request seems to come from, or None where nothing is recognised."""
    said = request.header("user-agent") or ""
    browser, system = (next((name for mark, name in known if mark in said), None) for known in (_BROWSERS, _SYSTEMS))
    if browser and system:
        return f"{browser} on {system}"
    return browser or system
