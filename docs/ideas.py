"""The picture of docs/ideas.md, from songs to a score: ``python docs/ideas.py``.

`tests/test_site.py` fails if the picture is not what this file draws.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from mashkit.types import Role

PICTURE = Path(__file__).with_name("ideas.svg")
WIDTH, LEFT, STEM, GAP, BAR, ARROW = 420, 96, 96, 10, 24, 40
"""The picture in pixels: width, where the stems begin, width of a stem, between two, height of a stem, and where the
arrows are."""
COLOURS = {Role.VOCAL: "#2563a8", Role.HARMONIC: "#2f7d4f", Role.PERCUSSION: "#a8552b"}
SONGS = (("Song A", Role.VOCAL), ("Song B", Role.HARMONIC), ("Song C", Role.PERCUSSION))
"""Three songs, and the role that the mashup takes from each."""
CHANGES = {
    Role.VOCAL: "as recorded: it decides key and tempo",
    Role.HARMONIC: "speed 1.08, 2 semitones lower",
    Role.PERCUSSION: "speed 0.95, 0.31 s later",
}
STYLE = (
    "text{font-family:sans-serif;font-size:14px;fill:#222}.head{font-weight:bold}.stem{fill:#fff;text-anchor:middle;"
    "font-size:13px}.left{fill:#666}.note{fill:#555;font-size:13px}.box{fill:#f6f6f6;stroke:#bbb}"
)


def _text(x: float, y: float, said: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(said)}</text>'


def _stem(x: float, y: float, width: float, role: Role, said: str, *, chosen: bool) -> Iterable[str]:
    fill = COLOURS[role] if chosen else "#ddd"
    yield f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{BAR}" rx="3" fill="{fill}"/>'
    yield _text(x + width / 2, y + 17, said, "stem" if chosen else "stem left")


def _arrow(y: float, said: str) -> Iterable[str]:
    yield f'<path d="M{ARROW} {y:g}v26m-6 -7l6 7l6 -7" fill="none" stroke="#222" stroke-width="1.5"/>'
    yield _text(ARROW + 16, y + 18, said, "note")


def drawn() -> str:
    """Return the picture as SVG."""
    parts = [_text(12, 24, "Songs, separated into stems of three roles", "head")]
    y = 38
    for song, taken in SONGS:
        parts.append(_text(12, y + 17, song))
        for place, role in enumerate(Role):
            parts += _stem(LEFT + place * (STEM + GAP), y, STEM, role, role.value, chosen=role is taken)
        y += BAR + 8
    parts += _arrow(y + 2, "a generator draws, by a condition")
    y += 40
    parts.append(f'<rect x="6" y="{y}" width="{WIDTH - 12}" height="118" rx="6" class="box"/>')
    parts.append(_text(18, y + 22, "A plan: data, no sound", "head"))
    for (song, role), place in zip(SONGS, range(3), strict=True):
        line = y + 46 + 26 * place
        parts.append(f'<rect x="18" y="{line - 11}" width="12" height="12" rx="2" fill="{COLOURS[role]}"/>')
        parts.append(_text(38, line, f"{role.value}, {song[-1]}:"))
        parts.append(_text(148, line, CHANGES[role], "note"))
    y += 122
    parts += _arrow(y, "a stretcher changes, a renderer mixes")
    y += 38
    parts.append(f'<rect x="6" y="{y}" width="{WIDTH - 12}" height="{3 * (BAR + 4) + 38}" rx="6" class="box"/>')
    parts.append(_text(18, y + 22, "A mashup: stems in one key and tempo, and their mix", "head"))
    for place, (song, role) in enumerate(SONGS):
        parts += _stem(18, y + 32 + place * (BAR + 4), WIDTH - 36, role, f"{role.value} of {song}", chosen=True)
    y += 3 * (BAR + 4) + 42
    parts += _arrow(y, "a scorer judges")
    y += 44
    parts.append(_text(12, y + 8, "A score: higher is better; the best plans are kept", "head"))
    height = y + 22
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img"><title>From songs to a score</title><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(drawn())
