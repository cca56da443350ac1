"""A day of a scenario's decisions: programmes at 05:00 and 17:00, a warning at 02:00.

`python3 -m benchmarks control_day [--scenario tan_thanh] [--json]`. Every cluster runs the node's
own controller and arbiter, on signed orders only; per hamlet the table says how loud it was, what
the nearest house would have had, what the rules made of it, and who took the horn from whom.
"""

import argparse
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from benchmarks.control import load_rules
from node.control.alert import AlertConfig, PhraseConfig
from node.control.authority import Certificate
from node.control.controller import Controller
from node.control.message import Kind, Message, seal
from node.control.noise import DwellingConfig, HornConfig
from node.control.play_run import StartPart
from node.control.player import StopPart
from node.control.precedence import MessageClass
from node.control.priority import Arbiter
from node.control.schedule import Place
from node.control.settings import ControlConfig
from node.control.short_alert import encode_short
from node.control.signature import SeedSigner
from node.events import Publish
from node.units import NS_PER_S
from sim import village
from sim.scenario import load

DAY: Final = "2026-11-23"
HOUSE_MIN_M: Final = 40
HOUSE_SPREAD_M: Final = 110
"""Distance of the nearest dwelling: 40 to 150 m, by the cluster's name. An assumption: no survey of
the villages was found (domain.md, section 6)."""

_FILE: Final = "parts = [{ kind = 'file', duration_s = %d, media = { vi = '" + "c" * 64 + "' } }]\n"
CALENDAR: Final = (
    "[[items]]\nname = '05:00 commune'\nstart = '05:00'\n"
    + _FILE % 2700
    + "[[items]]\nname = '17:00 commune'\nstart = '17:00'\n"
    + _FILE % 2700
    + "[[items]]\nname = '17:10 province'\nstart = '17:10'\nmessage_class = 'priority'\n"
    + "level = 'province'\n"
    + _FILE % 600
)


def utc_s(wall: str) -> int:
    """Return a time of `DAY` in Viet Nam in seconds UTC."""
    return int(datetime.fromisoformat(f"{DAY}T{wall}+07:00").astimezone(UTC).timestamp())


@dataclass(slots=True)
class Row:
    """What happened at one cluster, one item."""

    hamlet: str
    cluster: str
    item: str
    outcome: str
    reason: str
    volume: int
    asked_dba: float
    """What the plan's volume would give at the nearest dwelling."""
    allowed_dba: float
    limit_dba: float | None
    first_sound_s: float | None
    taken_by: list[str] = field(default_factory=list)


class Pole:
    """One cluster: the node's controller and arbiter, and a disk."""

    def __init__(self, place: village.Place, root: SeedSigner) -> None:
        number = int.from_bytes(hashlib.sha256(place.node.encode()).digest()[:4], "big")
        horn = place.profile.horn
        per_pole = horn.per_pole.value
        self.place = place
        self.config = ControlConfig(
            root_public_key=root.public_key.hex(),
            area=f"vn/{place.commune}/{place.hamlet}/{place.node}",
            build_utc_s=utc_s("00:00") - 86_400,
            place=Place(commune=place.commune, hamlet=place.hamlet, cluster=place.node),
            alert=AlertConfig(phrases={"any": PhraseConfig(siren="a" * 64, text={"vi": "b" * 64})}),
            horns=tuple(
                HornConfig(
                    bearing_deg=360.0 * i / per_pole,
                    sensitivity_db=horn.sensitivity_db_spl.value,
                    power_w=horn.power_w.value,
                )
                for i in range(per_pole)
            ),
            dwelling=DwellingConfig(
                distance_m=float(HOUSE_MIN_M + number % HOUSE_SPREAD_M),
                bearing_deg=float(number // 1000 % 360),
            ),
        )
        self.node = Controller(place.node, self.config, load_rules(), {})
        self.arbiter = Arbiter(self.config.priority)
        self.playing: dict[int, StartPart] = {}
        self.rows: dict[str, Row] = {}
        self.proof: list[bytes] = []
        self.now_ns = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take an order."""
        self.now_ns = now_ns
        fate = self.node.receive_message("order", data, now_ns)
        assert fate in ("obeyed", "waiting"), fate
        self._take()

    def run_until(self, end_ns: int) -> None:
        """Run every deadline up to `end_ns`."""
        while (at_ns := self.node.next_deadline_ns()) is not None and at_ns <= end_ns:
            self.now_ns = max(at_ns, self.now_ns)
            self.node.handle_deadline(self.now_ns)
            self._take()
        self.now_ns = end_ns

    def start(self) -> None:
        """Read the clock at midnight."""
        self.node.receive_time(utc_s("00:00") * NS_PER_S, 0, synchronised=True)
        self._take()

    def _take(self) -> None:
        while (event := self.node.next_event()) is not None:
            if isinstance(event, StartPart):
                self._begin(event)
            elif isinstance(event, StopPart):
                self.playing.pop(event.source, None)
                self.arbiter.release(event.source, self.now_ns)
            elif isinstance(event, Publish) and event.topic == "proof":
                self._end(event.payload)
            while (change := self.arbiter.next_event()) is not None:
                if change.previous in self.playing and change.source in self.playing:
                    lost, taker = self.playing[change.previous], self.playing[change.source]
                    self.rows[lost.name].taken_by.append(taker.name)
                grants = tuple(grant.source for grant in self.arbiter.grants())
                self.node.receive_grants(grants, self.now_ns)

    def _begin(self, part: StartPart) -> None:
        self.playing[part.source] = part
        self.arbiter.set_source(part.source, part.message_class, part.level, stored=True)
        self.arbiter.receive_packet(part.source, self.now_ns)
        if part.name in self.rows:
            return
        decision, verdict = self.node.loudness(part.message_class, self.now_ns)
        allowed_dba = round(verdict.expected_dba + verdict.gain_db - decision.gain_db, 1)
        self.rows[part.name] = Row(
            hamlet=self.place.hamlet,
            cluster=self.place.node,
            item=part.name,
            outcome="",
            reason=verdict.action,
            volume=decision.volume,
            asked_dba=verdict.expected_dba,
            allowed_dba=allowed_dba,
            limit_dba=verdict.limit_dba,
            first_sound_s=self.now_ns / NS_PER_S,
        )

    def _end(self, line: bytes) -> None:
        self.proof.append(line)
        record = msgspec.json.decode(line)["record"]
        name = record["name"]
        row = self.rows.get(name)
        if row is None:
            row = Row(self.place.hamlet, self.place.node, name, "", "", 0, 0.0, 0.0, None, None)
            self.rows[name] = row
        row.outcome = record["outcome"]
        row.reason = record["reason"] or row.reason


def simulate(scenario_name: str) -> list[Pole]:
    """Return the poles of a scenario after the day."""
    root, commune = (SeedSigner(hashlib.sha256(name).digest()) for name in (b"root", b"commune"))
    poles = [Pole(place, root) for place in village.build_village(load(scenario_name)).places]
    claim = Certificate("c", commune.public_key, "commune", "vn", MessageClass.URGENT, 1 << 39)
    orders = [
        (root, Kind.CERTIFICATE, msgspec.json.encode(claim), "00:00"),
        (commune, Kind.CALENDAR, CALENDAR.encode(), "00:00"),
        (commune, Kind.SHORT_ALERT, encode_short("alert", 1, event_code="FFW"), "02:00"),
    ]
    for pole in poles:
        pole.start()
    for counter, (by, kind, content, wall) in enumerate(orders, 1):
        message = Message(
            kind=kind,
            key_id=by.key_id,
            counter=counter,
            issued_s=utc_s(wall),
            ttl_s=600,
            message_class=MessageClass.URGENT if kind is Kind.SHORT_ALERT else MessageClass.NORMAL,
            area="vn",
            content=content,
        )
        data = seal(message, by)
        now_ns = (utc_s(wall) - utc_s("00:00")) * NS_PER_S
        for pole in poles:
            pole.run_until(now_ns)
            pole.receive(data, now_ns)
    for pole in poles:
        pole.run_until(86_400 * NS_PER_S)
    return poles


def run(arguments: list[str]) -> int:
    """Print the day of a scenario; 1 when a pole is louder than allowed without a justification."""
    parser = argparse.ArgumentParser(prog="benchmarks control_day", description=__doc__)
    parser.add_argument("--scenario", default="huu_lung_six", help="name or path of a scenario")
    parser.add_argument("--json", action="store_true", help="one row per cluster and item")
    options = parser.parse_args(arguments)
    rows = [row for pole in simulate(options.scenario) for row in pole.rows.values()]
    if options.json:
        print(msgspec.json.encode(rows).decode())
    else:
        print(table(rows))
    loud = [
        row
        for row in rows
        if row.limit_dba is not None
        and row.allowed_dba > row.limit_dba + 0.05
        and "protect life" not in row.reason
    ]
    return 1 if loud else 0


def table(rows: list[Row]) -> str:
    """Return one line per hamlet and item."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.hamlet, row.item), []).append(row)
    lines = [
        f"{'hamlet':32} {'item':17} {'poles':>5} {'volume':>6} {'asked dBA':>11} {'played':>11} "
        f"{'limit':>5}  what happened"
    ]
    for (hamlet, item), group in groups.items():
        name = "02:00 warning" if item.startswith("#") else item
        first = group[0]
        heard = first.limit_dba is not None
        taken = {one for row in group for one in row.taken_by}
        what = f"{first.outcome}; {first.reason}" + (f"; horn taken by {taken}" if taken else "")
        lines.append(
            f"{hamlet:32} {name:17} {len(group):5} {first.volume if heard else '-':>6} "
            f"{_span([row.asked_dba for row in group]) if heard else '-':>11} "
            f"{_span([row.allowed_dba for row in group]) if heard else '-':>11} "
            f"{first.limit_dba if heard else '-':>5}  {what}"
        )
    return "\n".join(lines)


def _span(levels_dba: list[float]) -> str:
    return f"{min(levels_dba):.1f}-{max(levels_dba):.1f}"
