"""Check the links of a built site: ``python docs/links.py build/site``.

Every link within the site must lead to a file, and to an element of it where it names one. Pages must take styles,
scripts, fonts and pictures from the site alone, so that it can be read without a network. Links to other sites are
listed and not followed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("audio", "src")}
"""Elements whose address a browser loads by itself."""
FOLLOWED = {("a", "href"), ("area", "href")}
"""Elements whose address a reader follows."""


class _Page(HTMLParser):
    """The names of a page's elements, and the addresses in it: (element, address, whether it is loaded)."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.addresses: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.names |= {name for name in (found.get("id"), found.get("name") if tag == "a" else None) if name}
        for name, value in attrs:
            if value and (tag, name) in LOADED | FOLLOWED:
                self.addresses.append((value, (tag, name) in LOADED))


def faults(site: Path) -> Iterator[str]:
    """Yield every link that leads nowhere, and every thing that would be loaded from elsewhere."""
    pages: dict[Path, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        if not {"_downloads", "_static"} & set(path.parts):  # files as they are, and the theme's
            pages[path.resolve()] = page = _Page()
            page.feed(path.read_text())
    for path, page in pages.items():
        for address, loaded in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if loaded and parts.scheme != "data":
                    yield f"{path.relative_to(site.resolve())}: loads {address}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.relative_to(site.resolve())}: {address} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names:
                yield f"{path.relative_to(site.resolve())}: {address} names no element"
    for path in sorted(site.rglob("*.css")):
        for address in re.findall(r"(?:url\(|@import )\s*['\"]?((?:https?:)?//[^'\")]+)", path.read_text()):
            yield f"{path.relative_to(site)}: loads {address}"


def main(folder: str) -> int:
    """Print what is wrong with a site; return 1 if anything is."""
    wrong = list(faults(Path(folder)))
    print("\n".join([*wrong, f"{len(wrong)} links of {folder} are wrong"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
