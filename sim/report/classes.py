"""How bad is shown as how dark: the classes and names that figures and tables share."""

from typing import Final

from node.counters import Origin
from sim.report.budgets import is_silent
from sim.result.run import GroupRow, NodeRow

DROPOUT_CLASSES: Final = (
    ("none", 0.0),
    ("to 1 %", 1.0),
    ("to 2 %", 2.0),
    ("to 10 %", 10.0),
    ("above 10 %", 101.0),
)
"""Name and upper bound of each class of dropout; a cluster that never played is one more."""

SILENT_CLASS: Final = len(DROPOUT_CLASSES)
SILENT_NAME: Final = "played nothing"

BEARER_NAMES: Final = {
    "ftth": "Fibre",
    "lte_good": "4G, good",
    "lte_weak": "4G, weak",
    "wifi24_outdoor": "Wi-Fi 2.4 outdoors",
    "perfect": "Perfect link",
    "no_signal": "No signal",
}
"""Link types for people; others are shown by the name that the scenario gives them."""

STAGE_NAMES: Final = {
    "packetisation_ms": "Packetisation",
    "uplink_ms": "Uplink",
    "downlink_ms": "Downlink",
    "jitter_buffer_ms": "Jitter buffer",
    "decode_ms": "Decoding",
    "resampler_ms": "Resampler",
    "device_ms": "Sound card",
}

ORIGIN_COLOURS: Final = {
    Origin.RECEIVED: ("received", (0, 0, 0, 0)),
    Origin.PAUSED: ("pause in the programme", (128, 136, 144, 56)),
    Origin.REDUNDANT: ("repaired: redundant copy", (86, 180, 233, 255)),
    Origin.RETRANSMITTED: ("repaired: sent again", (0, 114, 178, 255)),
    Origin.IN_BAND_FEC: ("repaired: in-band FEC", (122, 150, 205, 255)),
    Origin.CONCEALED: ("concealed", (240, 190, 60, 255)),
    Origin.FADED: ("faded out", (226, 120, 30, 255)),
    Origin.SILENT: ("silent", (168, 28, 44, 255)),
}
"""Name and RGBA of each origin in the raster. Received sound lets the paper show through, so that
one picture serves light and dark pages; the colours stay apart for colour-blind readers because
they differ in lightness: blue for repaired, yellow to dark red for what was heard as a fault."""


def dropout_class(row: NodeRow) -> int:
    """Return the class of a cluster: 0 is none, `SILENT_CLASS` never played."""
    if is_silent(row):
        return SILENT_CLASS
    return next(i for i, (_, bound) in enumerate(DROPOUT_CLASSES) if row.dropout_pct <= bound)


def bearer_name(bearer: str) -> str:
    """Return the name of a link type for people."""
    return BEARER_NAMES.get(bearer, bearer.replace("_", " "))


def repaired_ms(row: NodeRow) -> float:
    """Return how much of the output came from a second copy or from in-band FEC."""
    return row.redundant_ms + row.retransmitted_ms + row.in_band_fec_ms


def hamlet_name(row: NodeRow) -> str:
    """Return the name of a cluster's hamlet without its commune's, which stands beside it."""
    return row.hamlet.removeprefix(row.commune).lstrip(" ·,-") or row.hamlet


def place_name(row: NodeRow) -> str:
    """Return hamlet and commune."""
    return f"{hamlet_name(row)}, {row.commune}"


def group_name(group: GroupRow) -> str:
    """Return the name of a group for people."""
    return bearer_name(group.name) if group.kind == "bearer" else group.name
