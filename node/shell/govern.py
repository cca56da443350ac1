"""Put the speaker under signed orders: key, rules, stored sounds and what the store kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from node.config import NodeConfig
from node.control.controller import Controller
from node.control.settings import ControlConfig
from node.control.signature import SeedSigner, key_id
from node.governed import GovernedSpeaker
from node.shell.clocks import clock_synchronised
from node.shell.control import read_rules
from node.shell.identity import own_seed
from node.shell.library import read_library
from node.shell.store import Store
from node.stack import SpeakerNode
from node.stored_sound import Recording

_COUNTERS: Final = "counters/"


def govern(
    node: NodeConfig,
    control: ControlConfig,
    speaker: SpeakerNode,
    store: Store,
    library: dict[str, Recording],
) -> GovernedSpeaker:
    """Return `speaker` under the orders that `control` trusts, with what `store` kept of them.

    The node's own key, which signs its answers, is made at the first start and stays in the store.
    """
    stored = store.kept()
    if store.trust_lost:
        stored |= _without_counters(stored, bytes.fromhex(control.root_public_key))
    seed = own_seed(store)
    rules = read_rules(control.rules)
    controller = Controller(node.name, control, rules, stored, SeedSigner(seed))
    delay_ms = node.jitter.playout_delay_ms + node.jitter.delay_ms
    return GovernedSpeaker(speaker, controller, library, playout_delay_ms=delay_ms)


def _without_counters(stored: Mapping[str, bytes], root: bytes) -> dict[str, bytes]:
    """Return counters that say that they were lost, so that no order from before acts again."""
    known = [key for key in stored if key.startswith(_COUNTERS)]
    return dict.fromkeys([*known, _COUNTERS + key_id(root).hex()], b"lost")


def stored_sounds(control: ControlConfig) -> dict[str, Recording]:
    """Return the stored sounds of `control.media_folder`."""
    folder = control.media_folder
    return {} if folder is None else read_library(Path(folder))


def missing_sounds(control: ControlConfig, library: Mapping[str, object]) -> list[str]:
    """Return a line for each stored sound that the configuration names and the folder lacks.

    Found at the start, not in the night of the flood.
    """
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
    lines = [f"{where} = {one}: not in control.media_folder" for where, one in named]
    found = [line for line, (_, one) in zip(lines, named, strict=True) if one not in library]
    if not alert.phrases:
        found.append("control.alert.phrases: none, so no warning can sound")
    return found


def tell_time(speaker: GovernedSpeaker, control: ControlConfig, utc_ns: int, now_ns: int) -> None:
    """Tell a governed speaker what the machine's civil clock shows, and whether to trust it."""
    trusted = control.clock == "trusted" or clock_synchronised()
    speaker.receive_time(utc_ns, now_ns, synchronised=trusted)
