"""Faults of every kind, as text and by chance: what tests of all tiers let befall a village."""

from hypothesis import strategies as st

from sim.village.faults import AT_POLES, KINDS

FIELDS = {
    "link_down": [{"way": '"down"'}, {"way": '"up"'}, {}],
    "congestion": [{"share": "0.001"}, {"share": "0.1"}],
    "broker_down": [{"keeps": "true"}, {"keeps": "false"}],
    "clock_step": [{"step_s": "7200.0"}, {"step_s": "-7200.0"}, {"step_s": "1.5"}],
    "disk_slow": [{"write_s": "4.0"}, {"write_s": "60.0"}],
    "detour": [{"extra_ms": "50.0"}, {"extra_ms": "9000.0"}],
    "cpu_throttle": [{"share": "0.01"}, {"share": "0.5"}],
    "duplicate": [{"share": "0.3"}, {"share": "1.0"}],
    "reorder": [{"share": "0.3", "extra_ms": "700.0"}],
    "corrupt": [{"share": "0.2"}, {"share": "1.0"}],
    "forged": [{}, {"by": '"commune"'}],
    "replayed": [{"repeats": '"alert"'}],
}
"""Of each kind what a row may say beside time and place; others say no more."""

PLACES = {
    "commune": "A",
    "hamlet": "A1",
    "cluster": "a-1",
    "cell": "hill",
    "feeder": "472",
    "backhaul": "A",
}


def clock(second):
    """Return the wall clock so many seconds after 01:59, whole minutes of it."""
    minute = 119 + second // 60
    return f"{minute // 60:02}:{minute % 60:02}"


def row(kind, start, end=None, **more):
    """Return a row of the table; `more` are TOML values by field."""
    pairs = {"kind": f'"{kind}"', "start": f'"{start}"'}
    if KINDS[kind].lasts:
        pairs["end"] = f'"{end}"'
    return "[[faults]]\n" + "".join(f"{k} = {v}\n" for k, v in (pairs | more).items())


@st.composite
def rows(draw, kinds=tuple(KINDS), fields=FIELDS):
    """Draw a row of one of `kinds` around 02:00, at a place that the kind may have."""
    kind = draw(st.sampled_from(kinds))
    start = draw(st.integers(2 if kind == "replayed" else 0, 6))
    more = dict(draw(st.sampled_from(fields.get(kind, [{}]))))
    may = [one for one in KINDS[kind].places if one in PLACES]
    if kind == "no_rtc":  # of the two only one has a clock on its board
        may = ["commune", "cluster", "cell"]
    place = draw(st.sampled_from(["", *may]))
    if place:
        more[place] = f'"{PLACES[place]}"'
    assert set(AT_POLES) - {"bearer"} < set(PLACES)
    return row(kind, clock(60 * start), clock(60 * (start + draw(st.integers(1, 4)))), **more)
