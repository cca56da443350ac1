"""Mutated CAP documents: nothing raised, nothing sounds that a valid document would not order.

The documents rebuild the kinds of examples of CAP 1.2, appendix A, for places in Lạng Sơn. The
judge of what may sound is written a second time here, as patterns over the text: it knows neither
elements nor their order.
"""

import re
import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from node.control.precedence import MessageClass
from node.control.warning.alert import Alert, AlertConfig, alert_of
from node.control.warning.area import Site
from node.control.warning.cap import parse_cap

LIMIT_MS: Final = 30.0
"""Longest time for a document on a desktop core."""

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_OPEN: Final = '<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">'

FLOOD: Final = f"""{_HEAD}{_OPEN}
  <identifier>VN-LS-2025-10-07-001</identifier>
  <sender>pctt@langson.gov.vn</sender>
  <sent>2025-10-07T02:00:00+07:00</sent>
  <status>Actual</status>
  <msgType>Alert</msgType>
  <scope>Public</scope>
  <code>vn-cap-1</code>
  <info>
    <language>vi-VN</language>
    <category>Met</category>
    <event>Lũ quét</event>
    <responseType>Evacuate</responseType>
    <urgency>Immediate</urgency>
    <severity>Extreme</severity>
    <certainty>Observed</certainty>
    <eventCode><valueName>SAME</valueName><value>FFW</value></eventCode>
    <effective>2025-10-07T02:00:00+07:00</effective>
    <onset>2025-10-07T02:30:00+07:00</onset>
    <expires>2025-10-07T08:00:00+07:00</expires>
    <senderName>Ban chỉ huy phòng chống thiên tai tỉnh Lạng Sơn</senderName>
    <headline>Lũ quét tại Hữu Liên</headline>
    <description>Nước sông Thương lên nhanh &amp; chảy xiết.</description>
    <instruction>Rời khỏi bờ suối ngay.</instruction>
    <parameter><valueName>level</valueName><value>3</value></parameter>
    <resource>
      <resourceDesc>Lời đọc</resourceDesc><mimeType>audio/ogg</mimeType><size>81920</size>
      <uri>https://pctt.example/001.ogg</uri>
      <digest>da39a3ee5e6b4b0d3255bfef95601890afd80709</digest>
    </resource>
    <area>
      <areaDesc>Xã Hữu Liên</areaDesc>
      <polygon>21.60,106.30 21.60,106.45 21.72,106.45 21.72,106.30 21.60,106.30</polygon>
      <geocode><valueName>GSO</valueName><value>06637</value></geocode>
    </area>
  </info>
  <info>
    <language>tyz</language>
    <category>Met</category>
    <event>Nặm noòng</event>
    <urgency>Immediate</urgency>
    <severity>Extreme</severity>
    <certainty>Observed</certainty>
    <expires>2025-10-07T08:00:00+07:00</expires>
    <area><areaDesc>Hữu Liên</areaDesc><circle>21.66,106.37 9.5</circle></area>
  </info>
</alert>
"""

UPDATE: Final = (
    FLOOD.replace("-001</identifier>", "-002</identifier>")
    .replace("<msgType>Alert", "<msgType>Update")
    .replace("02:00:00+07:00</sent>", "03:00:00+07:00</sent>")
    .replace(
        "  <info>\n    <language>vi",
        "  <references>pctt@langson.gov.vn,VN-LS-2025-10-07-001,2025-10-07T02:00:00+07:00"
        "</references>\n  <info>\n    <language>vi",
    )
)

CANCEL: Final = f"""{_HEAD}{_OPEN}
<identifier>VN-LS-2025-10-07-003</identifier><sender>pctt@langson.gov.vn</sender>
<sent>2025-10-07T04:00:00+07:00</sent><status>Actual</status><msgType>Cancel</msgType>
<scope>Public</scope><note>Nước đã rút</note>
<references>pctt@langson.gov.vn,VN-LS-2025-10-07-001,2025-10-07T02:00:00+07:00
 pctt@langson.gov.vn,VN-LS-2025-10-07-002,2025-10-07T03:00:00+07:00</references>
</alert>
"""

EXERCISE: Final = FLOOD.replace("<status>Actual", "<status>Exercise").replace("-001<", "-004<")

STORM: Final = f"""{_HEAD}{_OPEN}
<identifier>KTTV.1055887203</identifier><sender>kttv@nchmf.gov.vn</sender>
<sent>2025-10-07T01:57:00-00:00</sent><status>Actual</status><msgType>Alert</msgType>
<scope>Public</scope>
<info><category>Met</category><event>SEVERE THUNDERSTORM</event><responseType>Shelter</responseType>
<urgency>Expected</urgency><severity>Moderate</severity><certainty>Possible</certainty>
<headline>Mưa dông</headline>
<area><areaDesc>Hữu Lũng</areaDesc><geocode><valueName>GSO</valueName><value>06637</value></geocode>
<altitude>10</altitude><ceiling>100</ceiling></area></info></alert>
"""

DOCUMENTS: Final = tuple(text.encode() for text in (FLOOD, UPDATE, CANCEL, EXERCISE, STORM))

SITE: Final = Site(position=(21.65, 106.36), geocodes=(("GSO", "06637"),))

_TOKENS: Final = (
    b"Actual Exercise System Test Draft Alert Update Cancel Ack Error Public Restricted Private "
    b"Immediate Past Extreme Minor Observed Unlikely <info> </info> <area> </area> <alert> "
    b"</alert> <!DOCTYPE <!ENTITY &amp; &#0; &x; <![CDATA[ ]]> <!-- --> <?x?> \0 \xff \xc3\xa9 "
    b"<status>Actual</status> <msgType>Cancel</msgType> <scope>Private</scope> nan inf 1e9 -91 "
    b"<expires>2025-10-07T08:00:00+07:00</expires> +99:99 Z 0000-00-00T00:00:00+00:00 "
    b'xmlns="x" UTF-16 99999999999999999999'
).split()


def mutate(document: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Return `document` with one to four faults of the kinds that networks and people make."""
    data = bytearray(document)
    for _ in range(int(rng.integers(1, 5))):
        kind, at, length = (int(n) for n in rng.integers(0, (8, max(len(data), 1), 60)))
        if kind == 0:
            data[at : at + 1] = bytes([int(rng.integers(0, 256))])
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3:
            data[at:at] = _TOKENS[int(rng.integers(0, len(_TOKENS)))]
        elif kind == 4:
            _swap_word(data, at, rng)
        elif kind == 5:
            start = int(rng.integers(0, len(other)))
            data[at : at + length] = other[start : start + length]
        elif kind == 6:
            _drop_element(data, at)
        elif data:
            data[at] ^= 1 << int(rng.integers(0, 8))
    return bytes(data)


def _swap_word(data: bytearray, at: int, rng: np.random.Generator) -> None:
    match = re.compile(rb">([^<>]{1,40})<").search(data, at)
    if match:
        data[match.start(1) : match.end(1)] = _TOKENS[int(rng.integers(0, len(_TOKENS)))]


def _drop_element(data: bytearray, at: int) -> None:
    match = re.compile(rb"<(\w+)>[^<>]*</\1>").search(data, at)
    if match:
        del data[match.start() : match.end()]


_INFO: Final = re.compile(r"<info\b.*?</info\s*>", re.DOTALL)
_HERE: Final = re.compile(r"06637|\d\s*[, ]\s*[-+.\d]")
_PLACE: Final = re.compile(r"<(?:\w+:)?(?:areaDesc|polygon|circle|geocode)\b")


def judge(document: bytes) -> bool:
    """Return whether a person who reads `document` finds that it may order a sound at `SITE`."""
    text = document.decode("utf-8-sig", "replace")
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    head = _INFO.sub("", text)
    for name, good in (
        ("status", {"actual", "exercise", "test"}),
        ("scope", {"public"}),
        ("msgType", {"alert", "update"}),
    ):
        if not _values(head, name) & good:
            return False
    return any(
        (_HERE.search(info) or not _PLACE.search(info))
        and _values(info, "urgency") != {"past"}
        and _values(info, "certainty") != {"unlikely"}
        for info in _INFO.findall(text)
    )


def _values(text: str, name: str) -> set[str]:
    found = re.findall(rf"<{name}\b[^>]*>(.*?)</{name}\s*>", text, re.DOTALL)
    return {re.sub(r"<[^>]*>", "", one).replace("]]>", "").strip().lower() for one in found}


@dataclass(slots=True)
class FuzzResult:
    """What became of the documents."""

    documents: int
    accepted: int = 0
    ordered: int = 0
    slowest_ms: float = 0.0
    slower_than_30_ms: int = 0
    violations: list[str] = field(default_factory=list)
    cpu_s: float = 0.0


def run_fuzz(count: int, *, seed: int) -> FuzzResult:
    """Parse `count` mutated documents; raising is a crash of the run and meant to be seen."""
    rng = np.random.default_rng(seed)
    config = AlertConfig()
    result = FuzzResult(count)
    begin_s = time.process_time()
    for number in range(count):
        pair = rng.integers(0, len(DOCUMENTS), 2)
        document = mutate(DOCUMENTS[int(pair[0])], DOCUMENTS[int(pair[1])], rng)
        took_ms, alert, accepted = _order(document, config)
        if took_ms > LIMIT_MS:  # a garbage collection of this loop is not the parser's: once more
            took_ms = min(took_ms, _order(document, config)[0])
        result.slowest_ms = max(result.slowest_ms, took_ms)
        result.slower_than_30_ms += took_ms > LIMIT_MS
        result.accepted += accepted
        if alert is not None and alert.kind not in ("cancel", "leave"):
            result.ordered += 1
            if not judge(document):
                result.violations.append(f"document {number} of seed {seed} sounds")
    result.cpu_s = time.process_time() - begin_s
    return result


def _order(document: bytes, config: AlertConfig) -> tuple[float, Alert | None, bool]:
    """Return the ms of CPU that it took, what is ordered, and whether it was well-formed CAP."""
    before_ns = time.thread_time_ns()
    cap = parse_cap(document)
    alert: Alert | str = ""
    if not isinstance(cap, str):
        alert = alert_of(cap, SITE, config, level="province", class_max=MessageClass.URGENT)
    took_ms = (time.thread_time_ns() - before_ns) / 1e6
    return took_ms, alert if isinstance(alert, Alert) else None, not isinstance(cap, str)
