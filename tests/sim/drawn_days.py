"""Days by chance: orders, and faults of every kind that there is, as rows of a scenario.

Its station orders from a minute past two on, and its live programme begins at two.
"""

import json

from hypothesis import strategies as st

from sim.village.faults import KINDS
from tests.sim.faulty import FIELDS

BEGIN_S, LIVE_S, END_S = 7_080, 7_200, 7_920
"""From when to when such a day is lived, and when its live programme begins."""

NUMBERS = {1: ("commune", "FFW"), 2: ("province", "TOR")}
"""Of the warnings that there are: who gives them, and of which event."""

REASONS = {
    "no power": {"power_cut"},
    "the power went": {"power_cut"},
    "no link": {"link_down", "power_cut"},
    "no way": {"link_down"},
    "no broker": {"broker_down"},
    "without its database": {"broker_down"},
    "others had taken the rate": {"congestion"},
    "a longer way": {"detour"},
    "packets came twice": {"duplicate"},
    "packets were held back": {"reorder"},
    "packets were damaged": {"corrupt"},
    "half open": {"half_open"},
    "its disk was full": {"disk_full"},
    "its disk was slow": {"disk_slow"},
    "does not go on": {"no_rtc"},
    "its CPU was too slow": {"cpu_throttle"},
    "its sound card was gone": {"card_gone"},
    "its clock was": {"clock_step"},
}
"""What a reason may say, and of which faults."""

ALL = tuple(KINDS)
SECONDS = st.sampled_from([30, 60, 600])


def table(name, row):
    """Return a row of a table in TOML."""
    return f"[[{name}]]\n" + "".join(f"{key} = {json.dumps(row[key])}\n" for key in row)


def given_s(row):
    """Return when an order is given, s into the day."""
    return 3600 * int(row["at"][:2]) + 60 * int(row["at"][3:])


def alert(minute, number=1, **more):
    """Return a warning so many minutes past two."""
    by, event = NUMBERS[number]
    row = {"at": f"02:0{minute}", "kind": "alert", "number": number, "by": by, "event": event}
    return row | {"ttl_s": 60, "lasts_s": 600} | more


@st.composite
def orders(draw, places=({},)):
    """Draw orders to some of `places`, a warning first."""
    found = []
    for minute in sorted(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))):
        kinds = ["alert", "alert", "cancel", "mute", "unmute"] if found else ["alert"]
        kind = draw(st.sampled_from(kinds))
        row = alert(minute, draw(st.sampled_from([1, 2])), ttl_s=draw(SECONDS))
        row |= {"kind": kind, "lasts_s": draw(SECONDS)}
        if kind != "alert":
            del row["event"], row["lasts_s"]
        if kind in ("mute", "unmute"):
            del row["number"], row["by"]
        found.append(row | draw(st.sampled_from(places)))
    return found


@st.composite
def broken(draw, asked, places=({},), *, board_clocks=({},), minutes=(0, 1, 2, 3, 4), kinds=ALL):
    """Draw up to three faults, each of any kind and at one of `places`, around one of `minutes`.

    `asked` are the orders of that day, of which strangers send some again; `board_clocks` the
    places with a cluster that has a clock on its board.
    """
    return [
        draw(_fault(draw(st.sampled_from(kinds)), asked, places, board_clocks, minutes))
        for _ in range(draw(st.integers(0, 3)))
    ]


@st.composite
def _fault(draw, kind, asked, places, board_clocks, minutes):
    from_s = 60.0 * draw(st.sampled_from(minutes))
    from_s = max(0.0, from_s + draw(st.sampled_from([-5.0, -1.0, 0.0, 0.5, 4.25, 9.0, 55.0])))
    more = {name: json.loads(value) for name, value in draw(_fields(kind)).items()}
    may = set(KINDS[kind].places)
    where = board_clocks if kind == "no_rtc" else [one for one in places if set(one) <= may]
    row = {"kind": kind, "from_s": from_s} | more | draw(st.sampled_from(where or [{}]))
    if kind == "replayed":
        said = draw(st.sampled_from(asked))
        row |= {"repeats": said["kind"], "number": said.get("number", 1)}
        row = {name: row[name] for name in row if name != "commune"}
        row |= {"commune": said["commune"]} if "commune" in said else {}
        row["from_s"] = given_s(said) - LIVE_S + draw(st.sampled_from([1.0, 20.0, 70.0, 300.0]))
    if KINDS[kind].lasts:
        row["until_s"] = row["from_s"] + draw(
            st.sampled_from([0.5, 2.0, 5.0, 30.0, 60.0, 300.0, 900.0])
        )
    return row


def _fields(kind):
    return st.sampled_from(FIELDS.get(kind, [{}]))


def befalls(row, here):
    """Return whether a fault is for who is `here`: its commune, hamlet, cluster..."""
    return all(here.get(name) == row[name] for name in KINDS[row["kind"]].places if name in row)
