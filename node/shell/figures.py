"""The status of a node as Prometheus text (exposition format 0.0.4)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

STATES: Final = ("starting", "ready", "degraded")

_Labels = dict[str, str]
_Sample = tuple[_Labels, float]


def prometheus_text(status: Mapping[str, Any]) -> str:
    """Return what a scrape gets; names begin with `loalang_`."""
    return "".join(_written(*one) for one in _families(status))


def _families(status: Mapping[str, Any]) -> Iterator[tuple[str, str, str, list[_Sample]]]:
    """Yield name, type, help and samples."""
    shell, control = status["shell"], status.get("control") or {}
    states = [({"state": one}, float(one == shell["state"])) for one in STATES]
    yield "state", "gauge", "1 for the state that the node is in", states
    faults = [({"fault": one.partition(":")[0]}, 1.0) for one in shell["why"]]
    yield "fault", "gauge", "1 for each fault that the node has now", faults
    yield "playing", "gauge", "Whether something sounds now", _one(status["playing"] is not None)
    counts = [({"what": name}, float(n)) for name, n in status["counts"].items()]
    yield "packets_total", "counter", "Packets and datagrams by their fate", counts
    sources = status["sources"]
    yield "sources", "gauge", "Streams that the node hears", _one(len(sources))
    yield (
        "played_seconds",
        "gauge",
        "Sound of a stream by its origin",
        [
            ({"ssrc": f"{one['ssrc']:08x}", "origin": origin}, played / 1000)
            for one in sources
            for origin, played in one["played_ms"].items()
        ],
    )
    for name, key in (("underruns_total", "underruns"), ("card_losses_total", "losses")):
        yield name, "counter", f"{key} of the sound card", _known(shell, key)
    yield "periods_total", "counter", "Periods that the card asked for", _known(shell, "periods")
    link = shell.get("broker") or {}
    yield "broker_connected", "gauge", "Whether the broker is there", _known(link, "connected")
    yield "broker_reconnects_total", "counter", "Connections lost", _known(link, "reconnects")
    yield "broker_waiting", "gauge", "Messages that wait for the broker", _known(link, "waiting")
    yield "broker_dropped_total", "counter", "Messages given up", _known(link, "dropped")
    days = _known(link, "certificate_days")
    yield "certificate_days", "gauge", "Days until the broker's certificate ends", days
    loop = shell.get("loop") or {}
    yield "loop_verdicts_total", "counter", "Looks at the horn", _known(loop, "verdicts")
    yield "loop_losses_total", "counter", "How often its capture ended", _known(loop, "losses")
    trusted = _known(control, "clock_trusted")
    yield "clock_trusted", "gauge", "Whether the civil time is known", trusted
    yield "proof_entries_total", "counter", "Entries of the proof", _known(control, "proof_number")


def _one(value: float) -> list[_Sample]:
    return [({}, float(value))]


def _known(table: Mapping[str, Any], key: str) -> list[_Sample]:
    return _one(table[key]) if key in table else []


def _written(name: str, kind: str, about: str, samples: Iterable[_Sample]) -> str:
    lines = [f"loalang_{name}{_labels(labels)} {value:.17g}\n" for labels, value in samples]
    if not lines:
        return ""
    head = f"# HELP loalang_{name} {about}\n# TYPE loalang_{name} {kind}\n"
    return head + "".join(lines)


def _labels(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
