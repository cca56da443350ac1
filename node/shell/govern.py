"""Put the speaker under signed orders: key, rules, stored sounds and what the store kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from node.config import NodeConfig
from node.control.controller import Controller
from node.control.settings import ControlConfig
from node.control.trust.signature import SeedSigner
from node.governed import GovernedSpeaker
from node.hearing.monitor import Monitor
from node.shell.clocks import clock_synchronised
from node.shell.hearing.listening import Listening
from node.shell.hearing.settings import LoopConfig
from node.shell.keys.identity import own_seed
from node.shell.machine import machine
from node.shell.rule_files import read_rules
from node.shell.sounds.library import Sounds, read_sounds
from node.shell.store.store import Store
from node.source.stored_sound import Recording
from node.stack import SpeakerNode

NO_LOOP: Final = LoopConfig()

HEARD_BY: Final = {"card": "card, acoustically unverified", "wav": "file", "null": "nothing"}
"""Sink: what a record says of it. The card took the frames, and asked for the next ones."""


def govern(
    node: NodeConfig,
    control: ControlConfig,
    speaker: SpeakerNode,
    store: Store,
    library: dict[str, Recording],
    *,
    sink: str = "card",
    loop: LoopConfig = NO_LOOP,
) -> tuple[GovernedSpeaker, Listening | None]:
    """Return `speaker` under the orders that `control` trusts, with what `store` kept of them.

    Its proof says that the sound went to `sink`, and what is returned besides, where a `loop` is
    wired, what that heard of it; it has not begun yet.

    The node's own key, which signs its answers, is made at the first start and stays in the store.
    """
    stored = store.kept()
    seed = own_seed(store)
    rules = read_rules(control.rules)
    by = HEARD_BY.get(sink, sink)
    signer = SeedSigner(seed)
    tests = loop.rules(control.programme.zone) if loop.is_wired else None
    controller = Controller(node.name, control, rules, stored, signer, heard_by=by, loop=tests)
    tones = loop.tone(silent=False), loop.tone(silent=True)
    monitor = Monitor(tones) if loop.is_wired else None
    delay_ms = node.jitter.playout_delay_ms + node.jitter.delay_ms
    governed = GovernedSpeaker(
        speaker,
        controller,
        library,
        playout_delay_ms=delay_ms,
        monitor=monitor,
        is_demo=control.profile == "demo",
    )
    return governed, None if monitor is None else Listening(loop, monitor, governed)


def stored_sounds(control: ControlConfig) -> Sounds:
    """Return the stored sounds of `control.media_folder`, first those that something names."""
    folder = control.media_folder
    if folder is None:
        return Sounds()
    return read_sounds(Path(folder), frozenset(one for _, one in _named_sounds(control)))


def missing_sounds(
    control: ControlConfig, library: Mapping[str, object], sounds: Sounds | None = None
) -> list[str]:
    """Return a line for each stored sound that the configuration names and that cannot play.

    Found at the start, not in the night of the flood. `sounds` says why, where it is known.
    """
    fault, left_out = (None, {}) if sounds is None else (sounds.fault, sounds.left_out)
    lines = [] if fault is None else [f"control.media_folder = {fault}"]
    absent = "not in control.media_folder" if fault is None else "cannot be read"
    for where, one in _named_sounds(control):
        if one not in library:
            lines.append(f"{where} = {one}: {left_out.get(one, absent)}")
    if not control.alert.phrases:
        lines.append("control.alert.phrases: none, so no warning can sound")
    return lines


def _named_sounds(control: ControlConfig) -> list[tuple[str, str]]:
    """Return each place in the configuration that names a stored sound, and the sound."""
    alert = control.alert
    named: list[tuple[str, str]] = []
    for code, phrase in alert.phrases.items():
        named.append((f"control.alert.phrases.{code}.siren", phrase.siren))
        where = f"control.alert.phrases.{code}.text"
        named += [(f"{where}.{language}", one) for language, one in phrase.text.items()]
    for name in ("exercise_phrase", "onset_phrase"):
        phrases: dict[str, str] = getattr(alert, name)
        named += [(f"control.alert.{name}.{key}", one) for key, one in phrases.items()]
    for item in control.programme.items:
        media = [one for part in item.parts for one in part.media.values()]
        named += [(f"control.programme item {item.name!r}", one) for one in media]
    return named


def tell_time(speaker: GovernedSpeaker, control: ControlConfig, utc_ns: int, now_ns: int) -> None:
    """Tell a governed speaker what the machine's civil clock shows, and whether to trust it."""
    trusted = control.clock == "trusted" or clock_synchronised()
    speaker.receive_time(utc_ns, now_ns, synchronised=trusted)
    speaker.receive_nonce(machine().nonce(), now_ns)
