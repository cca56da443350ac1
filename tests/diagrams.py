"""State diagrams for the documentation, found by driving the code that runs on a node.

From each phase each event is tried on a buffer of its own, and what it led to is drawn. Nothing
here says what should happen.
"""

from collections.abc import Callable

from node.config import JitterConfig
from node.control.arbiter import Arbiter
from node.control.precedence import MessageClass, PriorityConfig
from node.counters import Origin
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.units import NS_PER_MS, SAMPLES_PER_MS

PACKET = 20 * SAMPLES_PER_MS
PHASES = {at.EMPTY: "EMPTY", at.WAITING: "WAITING", at.PLAYING: "PLAYING"}
FIRST = 1000
"""Sequence number of the first packet; one comes each 20 ms."""


def packet(buffer: JitterBuffer, number: int, *, after_ms: int = 0) -> None:
    """Insert the packet of this number, in its time, or later."""
    now_ns = (20 * (number - FIRST) + after_ms) * NS_PER_MS
    buffer.insert(number & 0xFFFF, PACKET * number & 0xFFFF_FFFF, PACKET, now_ns)


def empty(config: JitterConfig) -> JitterBuffer:
    """Return a buffer that has seen nothing."""
    return JitterBuffer(config, payload_bytes=0)


def waiting(config: JitterConfig) -> JitterBuffer:
    """Return a buffer with a packet, which nobody has asked to play yet."""
    buffer = empty(config)
    packet(buffer, FIRST)
    return buffer


def playing(config: JitterConfig) -> JitterBuffer:
    """Return a buffer whose first packet is playing, with two more held."""
    buffer = waiting(config)
    packet(buffer, FIRST + 1)
    packet(buffer, FIRST + 2)
    wait_out(buffer)
    buffer.pull(2000 * NS_PER_MS)
    return buffer


def wait_out(buffer: JitterBuffer) -> None:
    """Let the playout delay pass: by `seek` where the node says when, else by time alone."""
    if int(buffer.state["mode"][0]) == at.SYNCHRONISED:
        held = buffer.slots["media"][buffer.slots["status"] == at.HOLDING]
        buffer.seek(int(held.min(initial=1 << 60)))
    else:
        buffer.pull(2000 * NS_PER_MS)


def start_anew(buffer: JitterBuffer) -> None:
    """Let the sender begin again far away: a packet and those that confirm it."""
    for number in range(FIRST + 20_000, FIRST + 20_004):
        packet(buffer, number, after_ms=-20 * 20_000 + 3000)


EVENTS: dict[str, Callable[[JitterBuffer], object]] = {
    "a packet comes": lambda one: packet(one, FIRST + 3),
    "the card asks": lambda one: one.pull(100 * NS_PER_MS),
    "the delay has passed": wait_out,
    "the sender starts anew": start_anew,
    "the source is let go": lambda one: one.reset(),
}


def phases(mode: str) -> list[str]:
    """Return a line for each phase and event: where it leads."""
    config = JitterConfig(mode=mode)
    lines = []
    for make in (empty, waiting, playing):
        for name, event in EVENTS.items():
            buffer = make(config)
            before = PHASES[int(buffer.state["phase"][0])]
            event(buffer)
            after = PHASES[int(buffer.state["phase"][0])]
            if before != after:
                lines.append(f"{before:8} ── {name} ".ljust(36, "─") + f"► {after}")
    return lines


def hole(config: JitterConfig) -> str:
    """Return what the output is made of when packets stop while one is playing, by origin."""
    buffer = playing(config)
    runs: list[tuple[Origin, int]] = []
    for step in range(40):
        buffer.pull((2000 + 10 * step) * NS_PER_MS)
        origin = Origin(int(buffer.state["action_origin"][0]))
        samples = int(buffer.state["action_samples"][0])
        if runs and runs[-1][0] == origin:
            runs[-1] = (origin, runs[-1][1] + samples)
        else:
            runs.append((origin, samples))
    told = [f"{one.name.lower()} {n // SAMPLES_PER_MS} ms" for one, n in runs[:-1]]
    return " ─► ".join([*told, f"{runs[-1][0].name.lower()} until a packet comes"])


def jitter_buffer() -> str:
    """Return the diagram of the jitter buffer: its phases, and what a hole sounds like."""
    both = phases("synchronised")
    assert both == phases("adaptive"), "draw the modes apart"
    lines = [*both, "", "two packets left, and then none:", hole(JitterConfig())]
    return "```\n" + "\n".join(lines) + "\n```"


NAMES = {1: "normal", 2: "another normal", 3: "urgent", None: "nobody"}
CLASSES = {1: MessageClass.NORMAL, 2: MessageClass.NORMAL, 3: MessageClass.URGENT}


def holders(speaks: set[int], leaves: int | None, enters: int | None) -> tuple[str, str, int]:
    """Return who has the horn before and after somebody leaves or enters, and how late in ms.

    `speaks` send a packet each 20 ms from the start, in the order of their numbers.
    """
    arbiter = Arbiter(PriorityConfig(tiers=("commune",)))
    for source, one in CLASSES.items():
        arbiter.set_source(source, one, "commune")
    begin_ms, before = 2000, None
    for now_ms in range(0, 8000, 20):
        if now_ms == begin_ms:
            before = arbiter.granted()
            speaks = (speaks - {leaves}) | ({enters} - {None})
        for source in sorted(speaks):
            arbiter.receive_packet(source, now_ms * NS_PER_MS)
        arbiter.handle_deadline(now_ms * NS_PER_MS)
        if now_ms >= begin_ms and arbiter.granted() != before:
            # The last packet was that of the step before.
            late_ms = now_ms - begin_ms + 20 if leaves else now_ms - begin_ms
            return NAMES[before], NAMES[arbiter.granted()], late_ms
    return NAMES[before], NAMES[before], 0


def arbiter() -> str:
    """Return who has the horn after what, as the arbiter decides by its default rules."""
    tries = (
        ("normal speaks", set(), None, 1),
        ("normal falls silent", {1}, 1, None),
        ("another normal speaks", {1}, None, 2),
        ("normal falls silent, another goes on", {1, 2}, 1, None),
        ("urgent speaks", {1}, None, 3),
        ("urgent falls silent, normal goes on", {1, 3}, 3, None),
        ("urgent falls silent", {3}, 3, None),
    )
    lines = []
    for name, speaks, leaves, enters in tries:
        before, after, late_ms = holders(speaks, leaves, enters)
        when = f" after {late_ms} ms" if late_ms else " at once" if before != after else " keeps it"
        lines.append(f"{before:8} ── {name} ".ljust(50, "─") + f"► {after}{when}")
    return "```\n" + "\n".join(lines) + "\n```"
