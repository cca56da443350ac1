"""What a node says of itself each minute in under 200 bytes, and the faults seen in its numbers.

| field | |
|---|---|
| `s` | `ready` or `degraded` |
| `n`, `up` | the session, and seconds since it began |
| `t`, `ok` | civil time of the node, and whether it trusts it |
| `play` | whether something sounds |
| `hear` | sources that it hears now |
| `un` | periods that the card had to play without the node |
| `re`, `wait`, `drop` | reconnections, messages that wait for the broker, messages given up |
| `proof` | entries in its chain of proof |
| `f` | names of its faults |
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from node.shell.health import Health
from node.units import NS_PER_S

EVERY_NS: Final = 60 * NS_PER_S
LOOK_NS: Final = 5 * NS_PER_S
"""Faults are told within 10 s."""

BYTES_MAX: Final = 200

UNDERRUNS_MAX: Final = 5
FLOOD_MAX: Final = 1000
"""Two streams that nobody announced send as many datagrams in that time."""

_WINDOW_NS: Final = 10 * NS_PER_S
"""More underruns, or refused datagrams, than that in so long are a fault."""

CERTIFICATE_DAYS: Final = 60
"""A certificate that ends so soon is a fault: `doctor` tells of it half a year ahead."""

_DEAD: Final = (
    "{}: ceased in mid-sentence, without a goodbye: has its sender died, or the way from it?"
)
_CLOCK: Final = "the time is not known: only urgent orders act; is a time server reachable?"


class Vitals:
    """Numbers of one node, looked at now and then."""

    def __init__(self, health: Health, *, session: int, begin_ns: int) -> None:
        self._health = health
        self._session = session
        self._begin_ns = begin_ns
        self._seen: list[tuple[int, int, int]] = []
        """When, underruns and refused datagrams until then."""
        self._next_look_ns = begin_ns
        self._next_told_ns = begin_ns
        self._told_faults: tuple[str, ...] = ()

    def looks(self, now_ns: int) -> bool:
        """Return whether it is time to look at the status again."""
        if now_ns < self._next_look_ns:
            return False
        self._next_look_ns = now_ns + LOOK_NS
        return True

    def next_ns(self, *, tells: bool) -> int:
        """Return when to look again, or to tell where there is somebody to tell."""
        return min(self._next_look_ns, self._next_told_ns) if tells else self._next_look_ns

    def look(self, status: Mapping[str, Any], now_ns: int) -> None:
        """Note the faults that the numbers of `status` show."""
        control = status.get("control")
        trusted = control is None or bool(control["clock_trusted"])
        self._health.note("clock", None if trusted else _CLOCK, now_ns)
        dead = ", ".join((control or {}).get("dead_senders", ()))
        text = None if not dead else _DEAD.format(dead)
        self._health.note("sender", text, now_ns)
        shell = status["shell"]
        days = (shell.get("broker") or {}).get("certificate_days", CERTIFICATE_DAYS)
        left = f"ends in {days} days" if days > 0 else "has ended"
        text = f"{left}: `loalang-station send` renews it" if days < CERTIFICATE_DAYS else None
        self._health.note("certificate", text, now_ns)
        refused = int((status.get("counts") or {}).get("dropped_unauthenticated", 0))
        self._seen.append((now_ns, int(shell.get("underruns", 0)), refused))
        while self._seen[0][0] < now_ns - _WINDOW_NS:
            self._seen.pop(0)
        recent, flood = (self._seen[-1][i] - self._seen[0][i] for i in (1, 2))
        text = None
        if flood > FLOOD_MAX:
            source = (control or {}).get("refused_from") or "an unknown address"
            text = (
                f"{flood} datagrams in 10 s of no announced sender, from {source} (may be forged)"
            )
        self._health.note("flood", text, now_ns)
        text = None
        if recent > UNDERRUNS_MAX:
            text = f"the card found no sound {recent} times in 10 s: others take the processor"
            if not shell.get("real_time", True):
                text += "; start the node by its unit, which gives it real-time priority"
        self._health.note("underruns", text, now_ns)

    def due(self, now_ns: int) -> bool:
        """Return whether the node is to tell of itself: each minute, and when its faults change."""
        faults = self._health.why()
        if now_ns < self._next_told_ns and faults == self._told_faults:
            return False
        self._next_told_ns, self._told_faults = now_ns + EVERY_NS, faults
        return True

    def body(self, status: Mapping[str, Any], utc_s: int, now_ns: int) -> bytes:
        """Return the short message; names of faults are left out where they would not fit."""
        control, link = status.get("control") or {}, status["shell"].get("broker") or {}
        told: dict[str, object] = {
            "s": self._health.word(),
            "n": self._session,
            "up": (now_ns - self._begin_ns) // NS_PER_S,
            "t": control.get("utc_s", utc_s),
            "ok": int(control.get("clock_trusted", True)),
            "play": int(status.get("playing") is not None),
            "hear": len(status.get("sources") or ()),
            "un": status["shell"].get("underruns", 0),
            "re": link.get("reconnects", 0),
            "wait": link.get("waiting", 0),
            "drop": link.get("dropped", 0),
            "proof": control.get("proof_number", 0),
        }
        names = [line.partition(":")[0] for line in self._health.why()]
        while names and len(_encoded(told | {"f": names})) >= BYTES_MAX:
            names.pop()
        return _encoded(told | ({"f": names} if names else {}))


def _encoded(told: Mapping[str, object]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()
