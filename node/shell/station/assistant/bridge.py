"""From a wish of Home Assistant to signed orders, and from the nodes' answers to what it shows.

No I/O: the shell gives messages and times, and sends what `take_sends` returns.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from node.shell.broker.mqtt import ASK
from node.shell.poles.pole_list import Pole
from node.shell.poles.readable import short_lasts_s
from node.shell.station.assistant.entities import ALL, ORDER, SIREN, THINGS, VOLUME, root_of
from node.shell.station.assistant.orders import Orders, Sealed
from node.shell.station.assistant.pole_siren import PoleSiren
from node.shell.station.assistant.wish import LASTS_MAX_S, SirenWish, read_siren, read_volume

NODES_MAX: Final = 1000
"""A commune has a hundred."""

SIRENS: Final = (3, 20.0)
VOLUMES: Final = (3, 10.0)
"""At once, and the time in which one more is earned: of each node, and of all as one. A node takes
128 orders of a key at once, and two a second."""

CANCELS_MAX: Final = 3
"""Of one warning: no warning is without an end because too much was wished."""

NAMED_MAX: Final = 32
"""Nodes that are named in what is told of all."""

_CANNOT_READ: Final = "a wish that cannot be read: "


@dataclass(frozen=True, slots=True)
class Site:
    """A node that may be ordered."""

    area: str
    pole: Pole


@dataclass(frozen=True, slots=True)
class Send:
    """A message to the broker."""

    topic: str
    payload: bytes
    retain: bool = False
    order: Sealed | None = None
    name: str = ""
    """Of the node that the order is for."""


class Bridge:
    """Follow wishes for some nodes of a village.

    Parameters
    ----------
    village : str
        As in the topics.
    area : str
        For which the key may order: that of `ALL`.
    sites : mapping of str to Site
        The nodes, at most `NODES_MAX`.
    tones : tuple of str
        Events that there are sounds for; the first where none is wished.
    orders : Orders
        Signs.
    """

    def __init__(
        self,
        village: str,
        area: str,
        sites: Mapping[str, Site],
        tones: tuple[str, ...],
        orders: Orders,
    ) -> None:
        assert tones, "who makes it has looked"
        self._root, self._nodes_root = root_of(village), f"pa/v1/{village}/node"
        self._area = area
        self._sites: Mapping[str, Site] = {}
        self._tones = tones
        self._orders = orders
        self._poles: dict[str, PoleSiren] = {}
        self._full_s: dict[tuple[str, str], float] = {}
        """When as much may be ordered at once again as ever."""
        self._wanted: dict[str, int] = {}
        """Volumes that wait until one may be ordered again: the last one wins."""
        self._reason = ""
        """Why the last wish for all was not followed."""
        self._changed: set[str] = set()
        self._told: dict[str, bytes] = {}
        self._sends: list[Send] = []
        self.counts: Counter[str] = Counter()
        """Wishes by what became of them."""
        self.know(sites)

    def know(self, sites: Mapping[str, Site]) -> None:
        """Go on with these nodes, at most `NODES_MAX`; `look` tells of those that are new.

        Nothing was ordered of one that is new, or has another key or area than before; of one that
        is gone nothing is retained.
        """
        assert len(sites) <= NODES_MAX, "who lists them has looked"
        for name in self._sites.keys() - sites.keys():
            self._forget(name)
        poles, self._poles = self._poles, {}
        for name, site in sites.items():
            pole = poles.get(name)
            if pole is None or site != self._sites[name]:
                # What another gateway was ordered is not this one's to answer.
                pole = PoleSiren(name, site.pole, kept=b"" if pole is not None else None)
                self._changed.add(name)
            self._poles[name] = pole
        self._sites = sites

    def receive(
        self, topic: str, payload: bytes, now_s: float, utc_ns: int, *, retained: bool
    ) -> None:
        """Take a message of the broker. Never raises."""
        parts = topic.split("/")
        if topic.startswith(f"{self._nodes_root}/") and len(parts) == 6:
            if (pole := self._poles.get(parts[4])) is not None:
                pole.receive(topic, payload, now_s)
                self._changed.add(pole.name)
        elif topic.startswith(f"{self._root}/") and len(parts) == 6 and parts[5] == "set":
            self._take_wish(parts[3], parts[4], payload, now_s, utc_ns, retained=retained)
        elif topic.startswith(f"{self._root}/") and len(parts) == 5 and parts[4] == ORDER:
            self._take_kept(parts[3], payload, now_s, utc_ns)
        self._tell()

    def look(self, now_s: float, utc_ns: int) -> None:
        """Note what did not come in time, and order the volumes that waited."""
        for name, pole in self._poles.items():
            if pole.look(now_s):
                self._sends.append(Send(f"{self._nodes_root}/{name}/cmd", ASK))
        for target in list(self._wanted):
            self._follow_volume(target, now_s, utc_ns)
        self._changed.update(self._poles)
        self._tell()
        # Not at each answer: of a thousand nodes each would be asked for each of the others.
        self._tell_one(f"{self._root}/{ALL}/{SIREN}", self._siren_of_all())
        self._tell_one(f"{self._root}/{ALL}/{VOLUME}", self._volume_of_all())

    def refuse(self, sent: Send, why: str) -> None:
        """Note that the broker did not take an order."""
        if sent.order is not None and (pole := self._poles.get(sent.name)) is not None:
            self.counts["not given"] += 1
            pole.refuse(sent.order, why)
            self._changed.add(pole.name)
        self._tell()

    def tell_all(self) -> None:
        """Tell how everything is, also what was told before: a connection is new."""
        self._told.clear()
        self._changed.update(self._poles)
        self._tell()

    def take_sends(self) -> list[Send]:
        """Return what is to be sent since the last call."""
        sends, self._sends = self._sends, []
        return sends

    def _forget(self, name: str) -> None:
        self._wanted.pop(name, None)
        self._changed.discard(name)
        for thing in (*THINGS, ORDER):
            self._full_s.pop((name, thing), None)
            topic = f"{self._root}/{name}/{thing}"
            self._told.pop(topic, None)
            self._sends.append(Send(topic, b"", retain=True))

    def _take_wish(
        self, target: str, thing: str, payload: bytes, now_s: float, utc_ns: int, *, retained: bool
    ) -> None:
        if (target != ALL and target not in self._poles) or thing not in THINGS:
            self.counts["for nobody"] += 1
            return
        if retained:  # it was wished at some other time
            self.counts["retained"] += 1
            return
        if thing == VOLUME:
            volume = read_volume(payload)
            if isinstance(volume, str):
                self._drop(target, "unreadable", _CANNOT_READ + volume)
                return
            self._wanted[target] = volume
            self._follow_volume(target, now_s, utc_ns)
            return
        wish = read_siren(payload, self._tones)
        if isinstance(wish, str):
            self._drop(target, "unreadable", _CANNOT_READ + wish)
        elif wish.on:
            self._begin(target, wish, now_s, utc_ns)
        else:
            self._end(target, now_s, utc_ns)

    def _take_kept(self, name: str, sealed: bytes, now_s: float, utc_ns: int) -> None:
        """Take up what was ordered before the bridge was started, if that may go on."""
        pole, order = self._poles.get(name), self._orders.own(sealed)
        if pole is None or order is None or pole.warning is not None:
            return
        ends_s = order.message.issued_s + short_lasts_s(order.message.content)
        left_s = ends_s - utc_ns / 1_000_000_000
        if 0 < left_s <= LASTS_MAX_S:
            pole.restore(order, left_s, now_s)
            self._changed.add(name)

    def _begin(self, target: str, wish: SirenWish, now_s: float, utc_ns: int) -> None:
        free = [one for one in self._of(target) if not one.is_open]
        if not free:
            self.counts["repeated"] += 1
            return
        if not self._may(target, SIREN, SIRENS, now_s):
            self._drop(target, "too many", "too many wishes: wait some seconds")
            return
        if wish.volume is not None:
            self._wanted[target] = wish.volume
            self._follow_volume(target, now_s, utc_ns)
        self.counts["followed"] += 1
        self._reason = "" if target == ALL else self._reason
        tone = wish.tone or self._tones[0]
        sealed = self._orders.alert(self._area_of(target), tone, wish.lasts_s, utc_ns)
        self._order(free, sealed, lambda one: one.begin(sealed, wish.lasts_s, now_s))

    def _end(self, target: str, now_s: float, utc_ns: int) -> None:
        """End the warnings of the target, each by one order for all nodes that have it."""
        found: dict[int, tuple[str, list[PoleSiren]]] = {}
        for one in self._of(target):
            if one.warning is None:
                continue
            if one.cancels >= CANCELS_MAX:
                self._drop(one.name, "too many", "its end was ordered too often")
                continue
            area = one.warning.message.area if target == ALL else self._area_of(target)
            found.setdefault(one.warning.number, (area, []))[1].append(one)
        for number, (area, poles) in found.items():
            sealed = self._orders.cancel(area, number, utc_ns)
            self._order(poles, sealed, _ending(sealed, now_s))
        self.counts["followed" if found else "nothing to end"] += 1

    def _follow_volume(self, target: str, now_s: float, utc_ns: int) -> None:
        if not self._may(target, VOLUME, VOLUMES, now_s):
            self.counts["volume waits"] += 1
            return
        volume = self._wanted.pop(target)
        sealed = self._orders.volume(self._area_of(target), volume, utc_ns)
        self.counts["followed"] += 1
        self._order(self._of(target), sealed, lambda one: one.plan(sealed, volume, now_s))

    def _order(
        self, poles: Iterable[PoleSiren], sealed: Sealed, note: Callable[[PoleSiren], None]
    ) -> None:
        for one in poles:
            note(one)
            self._changed.add(one.name)
            topic = f"{self._nodes_root}/{one.name}/cmd"
            self._sends.append(Send(topic, sealed.data, order=sealed, name=one.name))

    def _of(self, target: str) -> list[PoleSiren]:
        return list(self._poles.values()) if target == ALL else [self._poles[target]]

    def _area_of(self, target: str) -> str:
        return self._area if target == ALL else self._sites[target].area

    def _may(self, target: str, thing: str, limit: tuple[int, float], now_s: float) -> bool:
        """Return whether one more may be ordered, and count it."""
        most, each_s = limit
        full_s = max(self._full_s.get((target, thing), now_s), now_s)
        if full_s - now_s > (most - 1) * each_s:
            return False
        self._full_s[target, thing] = full_s + each_s
        return True

    def _drop(self, target: str, count: str, why: str) -> None:
        self.counts[count] += 1
        if target == ALL:
            self._reason = why
            return
        self._poles[target].drop(why)
        self._changed.add(target)

    def _tell(self) -> None:
        """Tell what has changed of the nodes."""
        for name in sorted(self._changed):
            pole = self._poles[name]
            self._tell_one(f"{self._root}/{name}/{SIREN}", pole.told_siren())
            self._tell_one(f"{self._root}/{name}/{VOLUME}", pole.told_volume())
            if pole.kept is not None:
                self._tell_one(f"{self._root}/{name}/{ORDER}", pole.kept)
        self._changed.clear()

    def _tell_one(self, topic: str, payload: bytes) -> None:
        if self._told.get(topic) != payload:
            self._told[topic] = payload
            self._sends.append(Send(topic, payload, retain=True))

    def _siren_of_all(self) -> bytes:
        poles = self._poles.values()
        silent = [one for one in poles if not one.is_sounding]
        fates = Counter(one.fate for one in poles)
        told = {
            "state": "ON" if len(silent) < len(poles) else "OFF",
            "fates": _listed(fates),
            "silent": ", ".join(one.name for one in silent[:NAMED_MAX]),
            "reason": self._reason,
            "wishes": _listed(self.counts),
        }
        return json.dumps(told, ensure_ascii=False).encode()

    def _volume_of_all(self) -> bytes:
        volumes = {one.volume for one in self._poles.values()}
        told = {
            "volume": volumes.pop() if len(volumes) == 1 else None,
            "fates": _listed(Counter(one.volume_fate for one in self._poles.values())),
        }
        return json.dumps(told, ensure_ascii=False).encode()


def _ending(sealed: Sealed, now_s: float) -> Callable[[PoleSiren], None]:
    return lambda one: one.end(sealed, now_s)


def _listed(counts: Counter[str]) -> str:
    """Return counts as text: of an attribute that is a table Home Assistant shows nothing."""
    return ", ".join(f"{name}: {n}" for name, n in sorted(counts.items()))
