"""A display name for the browser a user logs in with, for the list of their sessions: "Firefox on Linux".

User-Agent headers are unreliable for the sake of compatibility: use the name for display only, never for a decision.
The header itself is not kept, since it would reveal more about the user than the list needs.
"""

from .messages import Request

# Order matters: nearly every browser also claims to be Chrome, and Chrome to be Safari.
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
# Order matters: Android also claims to be Linux, and an iPhone "like Mac OS X".
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
    """Return the browser and operating system a request seems to come from, or None if neither is recognised."""
    header = request.header("user-agent") or ""
    browser, system = (
        next((name for product, name in known if product in header), None) for known in (_BROWSERS, _SYSTEMS)
    )
    if browser and system:
        return f"{browser} on {system}"
    return browser or system
