"""What the service tells of itself: faults that come and go, and what its shell counts."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from node.events import Publish
from node.shell.broker.mqtt import MqttLink
from node.shell.card.amplifier_switch import AmplifierSwitch
from node.shell.card.sinks import Sink
from node.shell.card.sound_watch import SoundWatch
from node.shell.clocks import utc_ns
from node.shell.health import Health
from node.shell.hearing.listening import Listening
from node.shell.network.udp import UdpSocket
from node.shell.store.store import Store
from node.shell.systemd import notify
from node.units import NS_PER_S

if TYPE_CHECKING:  # its import takes what joins, which a node without does not need
    from node.joined import Speaker

LOG: Final = logging.getLogger("loalang")

_SIGNS: Final = ("underruns", "real_time")
_OF_SINK: Final = ("underruns", "jumps", "card_skew_ppm", "real_time", "slept", "losses")


def tell_changes(health: Health, link: MqttLink | None) -> None:
    """Tell the log, the broker and the supervisor which faults came and went."""
    if (line := health.take_line()) is not None:
        notify(f"STATUS={line}")
    for change in health.take_changes():
        if change.text is None:
            LOG.info("%s: good again", change.name)
        else:
            LOG.warning("%s: %s", change.name, change.text)
        if link is not None:
            body = {"fault": change.name, "text": change.text, "at_s": utc_ns() // NS_PER_S}
            link.publish(Publish("fault", json.dumps(body).encode()))


def note_parts(
    health: Health,
    amplifier: AmplifierSwitch,
    store: Store,
    standing: Mapping[str, str],
    now_ns: int,
) -> None:
    """Note what ails the parts of the shell, and what was at fault from the start."""
    health.note("amplifier", amplifier.fault, now_ns)
    health.note("store", store.fault(), now_ns)
    health.note("store damage", "; ".join(store.lost) or None, now_ns)
    for name, text in standing.items():
        health.note(name, text, now_ns)


def signs_of(speaker: "Speaker", sink: Sink, link: MqttLink | None) -> dict[str, object]:
    """Return of the status what faults are seen by: it is looked at every few seconds.

    Who holds the core's lock may ask. A core without orders tells all that it has.
    """
    core: Callable[[], dict[str, object]] = getattr(speaker, "signs", speaker.status)
    told: dict[str, object] = {name: getattr(sink, name) for name in _SIGNS if hasattr(sink, name)}
    days = None if link is None else link.certificate_days
    shell = told if days is None else told | {"broker": {"certificate_days": days}}
    return core() | {"shell": shell}


def shell_status(
    health: Health,
    watch: SoundWatch,
    udp: UdpSocket,
    sink: Sink,
    *,
    link: MqttLink | None,
    listening: Listening | None,
) -> dict[str, object]:
    """Return what a person wants to know of the shell, JSON-able."""
    of_sink = {name: getattr(sink, name) for name in _OF_SINK if hasattr(sink, name)}
    broker = {} if link is None else {"broker": link.status()}
    told: dict[str, object] = {"state": health.word(), "why": health.why()}
    told |= {"periods": watch.periods, "send_faults": udp.send_faults}
    loop = {} if listening is None else {"loop": listening.status()}
    return told | of_sink | broker | loop
