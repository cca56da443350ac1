"""The retained state of a node, as it tells it itself or who misses it does: its word and Homie's.

Homie (4.0 and 5.0, "Device lifecycle") has words that other programs know. The topic is ours: a
Homie device is set by whoever may write there, and here an order has a signature.
"""

import json
from collections.abc import Sequence
from typing import Final

HOMIE: Final = {
    "starting": "init",
    "ready": "ready",
    "degraded": "alert",
    "stopped": "disconnected",
    "lost": "lost",
}
"""Ours: theirs. Nodes do not sleep."""


def told_state(word: str, session: int, beat_s: float, why: Sequence[str] = ()) -> bytes:
    """Return what is retained.

    Parameters
    ----------
    word : str
        A key of `HOMIE`.
    session : int
        Of the node; a later one is another start.
    beat_s : float
        Its longest silence: who watches knows when it would be missed.
    why : sequence of str
        Lines for a person.
    """
    body = {"state": word, "homie": HOMIE[word], "session": session, "beat_s": beat_s}
    return json.dumps(body | ({"why": list(why)} if why else {})).encode()
