"""The links and the tracking pixels of an HTML text, as a browser would find them. Pure."""

import re
from html.parser import HTMLParser

MAX_DEPTH = 500

_TINY = {"0", "1"}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_VOID = frozenset(
    "area base br col embed hr img input link meta param source track wbr".split()  # noqa: SIM905  # reads as the list in the HTML standard does
)


def links_and_pixels(html: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (targets of links, sources of images nobody can see), both in order.

    An image is a pixel when it is at most 1 by 1, or hidden by its own style or one around it.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return tuple(reader.links), tuple(reader.pixels)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.pixels: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in reversed(attrs)}  # the first of two counts
        hidden = bool(_HIDDEN.search(found.get("style", ""))) or "hidden" in found
        if tag in {"a", "area"} and found.get("href"):
            self.links.append(found["href"].strip())
        unseen = hidden or _is_tiny(found) or any(around for _, around in self._open)
        if tag == "img" and found.get("src") and unseen:
            self.pixels.append(found["src"].strip())
        if tag not in _VOID and len(self._open) < MAX_DEPTH:
            self._open.append((tag, hidden))

    def handle_endtag(self, tag: str) -> None:
        for position in range(len(self._open) - 1, -1, -1):
            if self._open[position][0] == tag:
                del self._open[position:]
                return


def _is_tiny(attributes: dict[str, str]) -> bool:
    sides = (attributes.get("width", ""), attributes.get("height", ""))
    return all(side.strip().removesuffix("px") in _TINY for side in sides)
