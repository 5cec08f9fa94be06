"""The stylesheet of the buttons for an application's templates, and its path.

It follows the page around it: `light-dark()` is as the page's `color-scheme`, and the quiet button has the page's own
colour. The hash in the path is of the text, so that a browser may keep it for ever.
"""

from typing import Final

from ..crypto.digests import digest

BUTTON_STYLE: Final = """\
.xwms-button {
  box-sizing: border-box;
  display: inline-flex;
  align-items: center;
  justify-content: center;
  min-block-size: 44px;
  margin: 0;
  padding: 0.5rem 1.25rem;
  border: 1px solid transparent;
  border-radius: 8px;
  background: #2251d1;
  background: light-dark(#2251d1, #8fb0ff);
  color: #fff;
  color: light-dark(#fff, #14161a);
  font: 600 1rem/1.25 system-ui, sans-serif;
  text-align: center;
  overflow-wrap: anywhere;
  cursor: pointer;
}
.xwms-button:hover { box-shadow: inset 0 0 0 99px rgb(0 0 0 / 0.12); }
.xwms-button:focus-visible { outline: 3px solid #2251d1; outline: 3px solid light-dark(#2251d1, #8fb0ff); }
.xwms-button:focus-visible { outline-offset: 2px; }
.xwms-quiet { border-color: currentcolor; background: transparent; color: inherit; font-weight: 500; }
"""

STYLE_PATH: Final = f"/xwms/buttons-{digest(BUTTON_STYLE)[:12]}.css"
"""What follows `path_prefix` in the path of the stylesheet."""
