"""Text of HTML pages and of Mallard pages (the XML format of desktop help)."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from html.parser import HTMLParser

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = frozenset([*_HEADINGS, "p", "li", "dt", "dd", "td", "th", "pre", "blockquote", "figcaption", "caption"])
_CONTAINERS = frozenset(["ul", "ol", "dl", "table"])
_SKIPPED = frozenset(["script", "style", "nav", "header", "footer", "head", "svg", "template", "noscript"])
_VOID = frozenset(
    ["br", "hr", "img", "input", "link", "meta", "col", "area", "base", "embed", "source", "track", "wbr"]
)
_MALLARD_BLOCKS = frozenset(("p", "title", "desc"))
_REMARK = re.compile(r"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_SPACE = re.compile(r"\s+")


@dataclass(slots=True)
class _Open:
    """An element that is open: its tag, and the text that belongs to it directly."""

    tag: str
    text: list[str] = field(default_factory=list)


class _BlockParser(HTMLParser):
    """Collects each piece of text once, under the innermost open block."""

    def __init__(self, keep_preformatted: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._open: list[_Open] = []
        self._skipped: list[str] = []
        self._keep_preformatted = keep_preformatted

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            if tag == "br" and self._open:
                self._open[-1].text.append("\n")
            return
        if tag in _SKIPPED or self._skipped:
            self._skipped.append(tag)
            return
        if tag in _BLOCKS or tag in _CONTAINERS:
            while self._open and _ends(tag, self._open[-1].tag):
                self._finish(self._open.pop())
            if self._open:
                self._finish(self._open[-1])
            self._open.append(_Open(tag))

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag in self._skipped:
                while self._skipped.pop() != tag:
                    pass
            return
        if any(item.tag == tag for item in self._open):
            while True:
                item = self._open.pop()
                self._finish(item)
                if item.tag == tag:
                    return

    def handle_data(self, data: str) -> None:
        if self._open and not self._skipped:
            self._open[-1].text.append(data)

    def close(self) -> None:
        super().close()
        while self._open:
            self._finish(self._open.pop())

    def _finish(self, item: _Open) -> None:
        """Give out the text that an element holds so far; lists and tables hold none."""
        text = "".join(item.text)
        item.text = []
        if item.tag in _CONTAINERS:
            return
        if item.tag == "pre":
            if self._keep_preformatted and text.strip():
                self.blocks.append(text.strip("\n"))
            return
        text = _SPACE.sub(" ", text).strip()
        if text:
            self.blocks.append(text)


def _ends(new: str, old: str) -> bool:
    """Whether HTML lets a starting element end an open one that was never closed."""
    if old == "p" or new == old == "li":
        return True
    return {new, old} <= {"dt", "dd"} or {new, old} <= {"td", "th"}


def html_blocks(page: str, *, keep_preformatted: bool = False) -> list[str]:
    """Return the paragraphs, headings, list items, definitions, cells and quotes of a page.

    Every piece of text stands in one block only: that of the innermost element around it. Text
    under script, style, nav, header, footer, head and svg is left out, as is preformatted text
    unless `keep_preformatted` is set.
    """
    parser = _BlockParser(keep_preformatted)
    parser.feed(page)
    parser.close()
    return parser.blocks


def mallard_blocks(page: str) -> list[str]:
    """Return the text of `p`, `title` and `desc` elements of a Mallard page, in order.

    An element that holds a further one gives no text of its own, so that text is counted once. A
    page that is not well-formed XML gives no text; nor does one that declares a document type,
    because entities of its own could make a small page grow without bounds.
    """
    if "<!DOCTYPE" in _prologue(page):
        return []
    try:
        root = ElementTree.fromstring(page)  # noqa: S314 - no entities can be declared in it
    except ElementTree.ParseError:
        return []
    blocks = []
    for element in root.iter():
        if _local(element.tag) in _MALLARD_BLOCKS and not _holds_block(element):
            text = _SPACE.sub(" ", "".join(element.itertext())).strip()
            if text:
                blocks.append(text)
    return blocks


def _prologue(page: str) -> str:
    """Return what stands before the first element, without comments and instructions."""
    return re.split(r"<[A-Za-z]", _REMARK.sub("", page), maxsplit=1)[0]


def _local(tag: object) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _holds_block(element: ElementTree.Element) -> bool:
    inner = (child for child in element.iter() if child is not element)
    return any(_local(child.tag) in _MALLARD_BLOCKS for child in inner)
