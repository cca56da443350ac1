"""Put the speaker under signed orders: key, rules, stored sounds and what the store kept."""

import os
from pathlib import Path
from typing import Final

from node.config import NodeConfig
from node.control.controller import Controller
from node.control.settings import ControlConfig
from node.control.signature import SeedSigner
from node.governed import GovernedSpeaker
from node.shell.clocks import clock_synchronised
from node.shell.control import read_rules
from node.shell.library import read_library
from node.shell.store import Store
from node.stack import SpeakerNode
from node.stored_sound import Recording

SEED_BYTES: Final = 32

_SEED_KEY: Final = "shell/seed"


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
    seed = stored.get(_SEED_KEY)
    if seed is None:
        seed = os.urandom(SEED_BYTES)
        store.keep(_SEED_KEY, seed)
    rules = read_rules(control.rules)
    controller = Controller(node.name, control, rules, stored, SeedSigner(seed))
    delay_ms = node.jitter.playout_delay_ms + node.jitter.delay_ms
    return GovernedSpeaker(speaker, controller, library, playout_delay_ms=delay_ms)


def stored_sounds(control: ControlConfig) -> dict[str, Recording]:
    """Return the stored sounds of `control.media_folder`."""
    folder = control.media_folder
    return {} if folder is None else read_library(Path(folder))


def tell_time(speaker: GovernedSpeaker, control: ControlConfig, utc_ns: int, now_ns: int) -> None:
    """Tell a governed speaker what the machine's civil clock shows, and whether to trust it."""
    trusted = control.clock == "trusted" or clock_synchronised()
    speaker.receive_time(utc_ns, now_ns, synchronised=trusted)
