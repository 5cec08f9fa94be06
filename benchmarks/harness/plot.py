"""A plot of pairs of bars as SVG: ours as a part of the other's. Readable on light and on dark pages."""

from dataclasses import dataclass
from html import escape

WIDTH, LABEL, VALUE, ROW, BAR, TOP = 780, 300, 120, 46, 13, 52
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #30343f } .small { font-size: 12px; fill: #5a6070 }
.ours { fill: #2f6fdf } .other { fill: #b9bfcc } line { stroke: #8a90a0; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e6ec } .small { fill: #a9afbd } .ours { fill: #6fa3ff } .other { fill: #565d6d } }
"""


@dataclass(frozen=True)
class Pair:
    """Two figures of one unit for the same work."""

    work: str
    ours: float
    other: float
    other_name: str
    unit: str


def svg_of(title: str, pairs: list[Pair]) -> str:
    height, room = TOP + ROW * len(pairs) + 12, WIDTH - LABEL - VALUE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text x="8" y="22" font-weight="600">{escape(title)}</text>',
        f'<rect class="ours" x="{LABEL}" y="32" width="12" height="12"/>',
        f'<text class="small" x="{LABEL + 18}" y="43">xwms-auth</text>',
        f'<rect class="other" x="{LABEL + 110}" y="32" width="12" height="12"/>',
        f'<text class="small" x="{LABEL + 128}" y="43">the other; each row has a scale of its own</text>',
    ]
    for number, pair in enumerate(pairs):
        y, most = TOP + ROW * number, max(pair.ours, pair.other)
        parts.append(f'<text x="8" y="{y + 20}">{escape(pair.work)}</text>')
        parts.append(f'<text class="small" x="8" y="{y + 35}">beside {escape(pair.other_name)}</text>')
        for offset, name, value in ((7, "ours", pair.ours), (7 + BAR, "other", pair.other)):
            length = max(1.0, room * value / most)
            x, middle = LABEL + length, y + offset + BAR - 3
            parts.append(f'<rect class="{name}" x="{LABEL}" y="{y + offset}" width="{length:.1f}" height="{BAR - 2}"/>')
            told = f"{value:.3g} {pair.unit}"
            parts.append(f'<text class="small" x="{x + 6:.1f}" y="{middle}">{escape(told)}</text>')
    parts.append(f'<line x1="{LABEL}" y1="{TOP}" x2="{LABEL}" y2="{height - 12}"/>')
    return "\n".join([*parts, "</svg>", ""])
