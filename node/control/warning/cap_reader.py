"""Read a CAP document into elements with plain names, as it is really published, within limits.

Documents come signed, from people and programs that take the schema lightly. The order of the
elements, blanks, encodings, extensions and markup in a text change nothing of what is meant and are
read; a bare `&` or a control character is mended. A document type is refused: it is the one way in
which a few bytes of XML become many. Nothing but `RefusedError` is raised.
"""

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, ParseError, XMLParser

DOCUMENT_BYTES_MAX: Final = 256 * 1024

TAGS_MAX: Final = 30_000
"""Tags and entities: enough for a document full of codes, four thousand. More take time."""

_NAMESPACE: Final = re.compile(r"\{urn:oasis:names:tc:emergency:cap:1\.[12]\}")
_DECLARED: Final = re.compile(rb"""<\?xml[^>]{0,80}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})""")
_BARE: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NUMBERED: Final = re.compile(r"&#(?:(\d{1,7})|x([0-9a-fA-F]{1,6}));")

_ENCODINGS: Final = {
    "us-ascii": "utf-8",
    "utf8": "utf-8",
    "iso-8859-1": "cp1252",  # as browsers read it: the quotation marks of Windows are in it
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "windows-1252": "cp1252",
    "iso-8859-15": "iso-8859-15",
    "windows-1258": "cp1258",
}
"""Declared encodings that are read, besides UTF-8 and UTF-16."""


class RefusedError(Exception):
    """A document, or a part of it, is not taken; the text says why."""


def read(data: bytes) -> Element:
    """Return the `alert` element of `data`; all elements of CAP have their bare names.

    Raises
    ------
    RefusedError
        When it is not one CAP document within the limits.
    """
    if len(data) > DOCUMENT_BYTES_MAX:
        raise RefusedError(
            f"{len(data)} bytes: at most {DOCUMENT_BYTES_MAX}; leave out derefUri and long texts"
        )
    text = _decoded(data).strip("\ufeff \t\r\n\0")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise RefusedError("a document type is not taken: leave out <!DOCTYPE")
    if text.count("<") + text.count("&") > TAGS_MAX:
        raise RefusedError(f"more than {TAGS_MAX} tags and entities: publish several documents")
    root = _parsed(text)
    _plain_names(root)
    alerts = [root] if root.tag == "alert" else root.findall(".//alert")
    if len(alerts) != 1:
        raise RefusedError(
            f"{len(alerts)} alerts of CAP 1.2: one is needed, "
            'xmlns="urn:oasis:names:tc:emergency:cap:1.2"'
        )
    return alerts[0]


def text_of(element: Element) -> str:
    """Return the text of `element`, that of markup in it too, without blanks around and doubled."""
    text = "".join(element.itertext()) if len(element) else element.text or ""
    return " ".join(text.split())


def one(parent: Element, name: str) -> str:
    """Return the text of the child `name`; empty when there is none.

    Raises
    ------
    RefusedError
        If there are several that differ: nobody knows which is meant.
    """
    found = {text for child in parent.findall(name) if (text := text_of(child))}
    if len(found) > 1:
        raise RefusedError(f"{name} more than once in {parent.tag}, and not the same")
    return found.pop() if found else ""


def pairs(parent: Element, name: str) -> Iterator[tuple[str, str]]:
    """Yield (valueName, value) of the children `name`."""
    for child in parent.findall(name):
        texts = {one.tag: one.text or "" for one in child}
        yield texts.get("valueName", "").strip(), texts.get("value", "").strip()


def _decoded(data: bytes) -> str:
    """Return the text, by its byte order mark, its declaration, or else as UTF-8.

    A byte that the encoding does not have becomes U+FFFD: it stands in a text for people, and the
    rest of the warning is as good as ever.
    """
    for mark, name in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            return data[2:].decode(name, "replace")
    for begin, name in ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be")):
        if data.startswith(begin):
            return data.decode(name, "replace")
    declared = _DECLARED.match(data.lstrip(b"\xef\xbb\xbf \t\r\n"))
    # What says UTF-16 in single bytes was converted after it was written.
    name = declared[1].decode().lower() if declared else "utf-8"
    return data.decode(_ENCODINGS.get(name, "utf-8"), "replace")


def _parsed(text: str) -> Element:
    try:
        return _tree(text)
    except (ParseError, ValueError) as fault:
        mended = _mended(text)
        if mended == text:
            raise RefusedError(f"not XML: {fault}"[:120]) from None
    try:
        return _tree(mended)
    except (ParseError, ValueError) as fault:
        raise RefusedError(f"not XML: {fault}"[:120]) from None


def _tree(text: str) -> Element:
    parser = XMLParser(encoding="utf-8")
    parser.feed(text.encode())
    return parser.close()


def _mended(text: str) -> str:
    """Return `text` without what XML forbids and publishers write all the same."""
    return _NUMBERED.sub(_number, _CONTROL.sub(" ", _BARE.sub("&amp;", text)))


def _number(match: re.Match[str]) -> str:
    code = int(match[1]) if match[1] else int(match[2], 16)
    allowed = code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE
    return match[0] if allowed or 0x10000 <= code < 0x110000 else " "


def _plain_names(root: Element) -> None:
    known: dict[str, str] = {}
    for element in root.iter():
        tag = element.tag
        if tag not in known:
            known[tag] = _NAMESPACE.sub("", tag)
        element.tag = known[tag]
