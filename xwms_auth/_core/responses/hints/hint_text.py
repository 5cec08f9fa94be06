"""Text in hints for developers, which may come from others, such as a Host header."""


def code(value: str) -> str:
    """Return the value between backticks, which pages render as code."""
    return f"`{plain(value) or '(none)'}`"


def plain(text: str) -> str:
    """Return the text on one line, with non-ASCII characters escaped (homographs), and without backticks."""
    shown = (char if " " <= char <= "~" or char == "…" else ascii(char)[1:-1] for char in text)
    return "".join(shown).replace("`", "'")
