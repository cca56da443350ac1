"""The heaviest CAP documents that fit into the limits, and what one costs to read.

Each is one part repeated: `weight` 1.0 fills the document, 0.125 an eighth of it. Read in time that
grows with the document, eight times the weight costs at most eight times as much, whatever else the
machine does; by the square of it sixty-four times.
"""

import time
from typing import Final

from benchmarks.control.control_cap import FLOOD, SITE, UPDATE
from node.control.precedence import MessageClass
from node.control.warning.alert import AlertConfig, alert_of
from node.control.warning.cap import parse_cap

GROWTH_MAX: Final = 16.0
"""Of the cost of eight times the weight: between 8 and 64; caches are small and machines busy."""

_BLOCK: Final = "  <info>" + FLOOD.split("<info>")[2].partition("</info>")[0] + "</info>\n"
_CODE: Final = "<geocode><valueName>a</valueName><value>b</value></geocode>"
_RESOURCE: Final = "<resource><mimeType>a</mimeType><uri>b</uri></resource>"

HEAVIEST: Final = {
    "tags": ("<area>", "<a/>", 29_800),
    "markup in a text": ("Nước", "<b>x</b>", 14_800),
    "attributes": ("<resource>", "", 0),
    "entities": ("Nước", "&amp;", 29_700),
    "line ends": ("Nước", "\r", 250_000),
    "lines": ("Nước", "x\n", 125_000),
    "points": ("21.60,106.30 ", "21.60,106.30 ", 19_000),
    "times": ("2025-10-07T02:00:00+07:00</sent>", " ", 250_000),
    "identifier": ("VN-LS", "V", 250_000),
    "references": ("<references>", "a,b,c ", 41_000),
    "commas": ("<references>", ",", 250_000),
    "blanks and commas": ("<references>", "a, ", 83_000),
    "codes": ("<geocode>", _CODE, 3_900),
    "resources": ("<resource>", _RESOURCE, 4_400),
    "blocks": ("</alert>", _BLOCK, 740),
    "control characters": ("Nước", "\x01", 250_000),
    "bare ampersands": ("Nước", "& ", 29_700),
    "depth": ("Nước", "", 0),
}
"""Name: before what of the document a part stands, the part, how often at weight 1.0."""


def heavy(name: str, weight: float) -> bytes:
    """Return a document: `weight` 1.0 is as heavy as it may be."""
    if name == "attributes":
        many = " ".join(f'a{number}="1"' for number in range(int(21_000 * weight)))
        return FLOOD.replace("<resource>", f"<resource {many}>").encode()
    if name == "depth":
        depth = int(14_000 * weight)
        return FLOOD.replace("Nước", "<b>" * depth + "</b>" * depth).encode()
    before, part, count = HEAVIEST[name]
    text = UPDATE if before == "<references>" else FLOOD
    at = text.index(before) + (len(before) if before == "<references>" else 0)
    return (text[:at] + part * int(count * weight) + text[at:]).encode()


def read_ms(document: bytes) -> float:
    """Read `document` once; return the ms of CPU that it took this thread."""
    before_ns = time.thread_time_ns()
    cap = parse_cap(document)
    if not isinstance(cap, str):
        alert_of(cap, SITE, AlertConfig(), level="province", class_max=MessageClass.URGENT)
    return (time.thread_time_ns() - before_ns) / 1e6


def growth(name: str, *, tries: int = 5) -> float:
    """Return how often an eighth of a document's cost is in the whole: the least of `tries`."""
    documents = heavy(name, 1.0), heavy(name, 0.125)
    both_ms = [tuple(map(read_ms, documents)) for _ in range(tries)]
    return min(whole for whole, _ in both_ms) / min(eighth for _, eighth in both_ms)
