"""Read a CAP 1.2 document into plain elements, strictly by its schema and within stated limits.

Documents come from the network. What is too large, too dense, not UTF-8, has a document type or
breaks the schema is refused with a reason, within 10 ms on a desktop core; nothing is raised.
"""

from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from node.control.warning.tables_cap import CHILDREN, VALUES, Row

DOCUMENT_BYTES_MAX: Final = 256 * 1024

MARKUP_MAX: Final = 3000
"""Tags, attributes and references of each kind. The parser is Python and takes 2.5 us a tag."""

DEPTH_MAX: Final = 8
"""alert, info, area, geocode, value is 5; a signature goes deeper and is skipped by count."""

NAMESPACE: Final = "{urn:oasis:names:tc:emergency:cap:1.2}"


class RefusedError(Exception):
    """A document is not taken; the text says why. Never leaves `node.control.warning.cap`."""


@dataclass(slots=True)
class Element:
    """One element: the elements in it by name, and its text."""

    name: str
    children: dict[str, "list[Element]"] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    position: int = 0
    """Index of the latest child in the schema's sequence."""

    @property
    def text(self) -> str:
        """Its text as it stands."""
        return "".join(self.texts)

    def one(self, name: str) -> str | None:
        """Return the text of the only child `name`, or None."""
        found = self.children.get(name)
        return found[0].text if found else None

    def all(self, name: str) -> "list[Element]":
        """Return the children `name`."""
        return self.children.get(name, [])


def read(data: bytes) -> Element:
    """Return the `alert` element of `data`.

    Raises
    ------
    RefusedError
        When it is not a CAP 1.2 document within the limits.
    """
    if len(data) > DOCUMENT_BYTES_MAX:
        raise RefusedError(f"{len(data)} bytes: at most {DOCUMENT_BYTES_MAX}")
    if any(data.count(mark) > MARKUP_MAX for mark in (b"<", b"=", b"&", b"\r")):
        raise RefusedError(f"more than {MARKUP_MAX} tags, attributes or references")
    try:
        text = data.decode("utf-8-sig")
        target = _Target()
        parser = DefusedXMLParser(target=target, encoding="utf-8", forbid_dtd=True)
        parser.feed(text.encode())
        parser.close()
    except UnicodeError:
        raise RefusedError("not UTF-8") from None
    except (ParseError, DefusedXmlException, ValueError, LookupError) as fault:
        raise RefusedError(f"not XML that we take: {type(fault).__name__}") from None
    if target.root is None:
        raise RefusedError("no alert")
    return target.root


class _Target:
    """What the parser calls: builds elements, checking the sequence as they come."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._skipped = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._skipped or (len(self._open) == 1 and not tag.startswith(NAMESPACE)):
            self._skipped += 1  # a signature: of another name space, in the alert itself
            return
        if not tag.startswith(NAMESPACE):
            raise RefusedError("an element of another name space")
        name = tag.removeprefix(NAMESPACE)
        if not self._open:
            if name != "alert":
                raise RefusedError("the first element is no alert")
            self.root = Element(name)
            self._open.append(self.root)
            return
        if len(self._open) >= DEPTH_MAX:
            raise RefusedError("too deep")
        parent = self._open[-1]
        _place(parent, name)
        child = Element(name)
        parent.children.setdefault(name, []).append(child)
        self._open.append(child)

    def data(self, text: str) -> None:
        if not self._skipped and self._open:
            self._open[-1].texts.append(text)

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        _finish(self._open.pop())

    def close(self) -> None:
        return None


def _place(parent: Element, name: str) -> None:
    """Check that `name` may come next in `parent`."""
    rows: tuple[Row, ...] = CHILDREN.get(parent.name, ())
    for index in range(parent.position, len(rows)):
        known, _, most = rows[index]
        if known == name:
            if len(parent.all(name)) >= most:
                raise RefusedError(f"{name} more than once in {parent.name}")
            parent.position = index
            return
    raise RefusedError(f"{name[:40]} does not belong there in {parent.name}")


def _finish(element: Element) -> None:
    """Check what only shows at the end: missing elements, stray text, unknown values."""
    rows = CHILDREN.get(element.name)
    if rows is None:
        known = VALUES.get(element.name)
        if known is not None and element.text not in known:
            raise RefusedError(f"{element.name} = {element.text[:40]!r}")
        return
    if element.text.strip():
        raise RefusedError(f"text in {element.name}")
    for name, least, _ in rows:
        if len(element.all(name)) < least:
            raise RefusedError(f"no {name} in {element.name}")
