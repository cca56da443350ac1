"""`loalang-node doctor --tone`: the tone where no node runs, and what comes back of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import NodeConfig
from node.control.civil_time import covers, load_zone
from node.control.controller import Controller
from node.control.settings import ControlConfig
from node.events import LoopVerdict
from node.hearing.ear import Ear
from node.hearing.monitor import Monitor
from node.shell.card.amplifier_switch import AmplifierSwitch
from node.shell.card.chosen_sink import chosen_sink
from node.shell.clocks import now_ns, utc_ns
from node.shell.config import ShellConfig
from node.shell.doctor.finding import Finding, fault, good
from node.shell.doctor.loop_checks import REMEDY
from node.shell.faults import ShellError
from node.shell.hearing.capture import Capture
from node.shell.network.udp import UdpSocket
from node.shell.rule_files import read_rules
from node.shell.store.read import read_kept
from node.units import NS_PER_S

PATIENCE_S: Final = 30.0
_READY_S: Final = 10.0
_LOOK_S: Final = 0.05
_PART: Final = "tone"


def try_tone(node: NodeConfig, shell: ShellConfig, *, silent: bool, sink: str | None) -> Finding:
    """Play the tone, listen, and return what was found."""
    loop = shell.loop
    if not loop.is_wired or shell.control is None:
        return fault(_PART, "no loop is wired", "wire one, and name it in [loop]")
    try:
        UdpSocket(node.receive).close()
    except ShellError:
        how = "silent" if silent else "audible"
        return fault(
            _PART, "the node runs, and has the card", f"`loalang-node order self-test {how}`"
        )
    zone = load_zone(shell.control.programme.zone)
    at = datetime.fromtimestamp(utc_ns() // NS_PER_S, UTC).astimezone(zone).time()
    hours = loop.rules(zone.key).hours
    if not silent and not any(covers(at, *one) for one in hours):
        told = ", ".join(loop.tone_hours) or "none"
        return fault(_PART, f"outside loop.tone_hours: {told}", "`--tone silent`, or later")
    if (by := _muted_by(node, shell, shell.control)) is not None:
        return fault(_PART, f"{by} has muted the node", "test when the mute is over")
    try:
        verdict = _Trial(node, shell, silent=silent, sink=sink).run()
    except ShellError as wrong:
        return fault(_PART, str(wrong), "mend what is named, and test again")
    return _finding(verdict, loop.kind, silent=silent)


def _muted_by(node: NodeConfig, shell: ShellConfig, control: ControlConfig) -> str | None:
    """Return who has muted the node, by what its store kept; None when nobody did."""
    if shell.store.path is None:
        return None
    try:
        kept = dict(read_kept(Path(shell.store.path)))
    except ShellError:  # told by another finding; a node that was never started has none
        return None
    controller = Controller(node.name, control, read_rules(control.rules), kept)
    controller.receive_time(utc_ns(), now_ns(), synchronised=True)
    by = controller.status(now_ns())["muted_by"]
    return by if isinstance(by, str) else None


def _finding(verdict: LoopVerdict, kind: str, *, silent: bool) -> Finding:
    gain = "" if verdict.gain_db is None else f", gain {verdict.gain_db:.1f} dB"
    text = f"{verdict.word}, margin {verdict.margin_db:.0f} dB{gain}"
    if verdict.word == "heard":
        name = "silent_reference_db" if silent else "reference_db"
        return good(_PART, f"{text}; if all is well now, note it as loop.{name}")
    why = f": {verdict.why}" if verdict.why else ""
    return fault(_PART, text + why, REMEDY.format(kind))


class _Trial:
    """A card, a capture and a tone, without a node."""

    def __init__(
        self, node: NodeConfig, shell: ShellConfig, *, silent: bool, sink: str | None
    ) -> None:
        loop = shell.loop
        self._monitor = Monitor((loop.tone(silent=False), loop.tone(silent=True)))
        self._ear = Ear(
            self._monitor,
            rate_hz=loop.rate_hz,
            noise_max_dbfs=loop.noise_max_dbfs,
            may_be_still=loop.kind == "current",
        )
        self._capture = Capture(loop, self._ear.receive_captured)
        self._sink = chosen_sink(node, shell.sink, sink)
        self._amplifier = AmplifierSwitch(node.amplifier.switch)
        self._release_ns = int(node.amplifier.mute_release_s * NS_PER_S)
        self._silent = silent
        self._periods = 0

    def run(self) -> LoopVerdict:
        """Return what was heard."""
        self._sink.start(self._render)
        self._capture.start()
        try:
            if not self._wait(lambda: self._periods > 0, _READY_S):
                raise ShellError(self._sink.missing() or "the card asks for no sound")
            if not self._wait(lambda: self._capture.hears, _READY_S):
                raise ShellError(self._capture.fault(now_ns()) or "nothing is captured")
            self._amplifier.turn(on=True)
            self._monitor.begin_tone(now_ns() + self._release_ns, silent=self._silent)
            found: list[LoopVerdict] = []

            def is_judged() -> bool:
                if (one := self._ear.next_event()) is not None:
                    found.append(one)
                return bool(found)

            if not self._wait(is_judged, PATIENCE_S):
                raise ShellError(self._capture.fault(now_ns()) or "nothing is captured")
            return found[0]
        finally:
            self._amplifier.turn(on=False)
            self._capture.close()
            self._sink.close()

    def _render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        out.fill(0.0)
        self._monitor.process(out, presentation_ns)
        self._periods += 1

    def _wait(self, is_so: Callable[[], bool], limit_s: float) -> bool:
        """Return whether something became so in time, unless the sink failed."""
        end_ns = now_ns() + int(limit_s * NS_PER_S)
        while now_ns() < end_ns:
            if (wrong := self._sink.fault()) is not None:
                raise wrong
            if is_so():
                return True
            time.sleep(_LOOK_S)
        return False
