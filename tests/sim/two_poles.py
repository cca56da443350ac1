"""Two poles by chance: their orders, what befalls them, and the grid they hang on."""

from hypothesis import strategies as st

VILLAGE = """
title = "Two poles"
question = "Do both tell the same?"
seed = {seed}
duration_s = 5

[day]
date = "2026-11-23"

[day.volume]
volume = 75
emergency_floor = {floor}

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 4

{orders}
{faults}

[[communes]]
name = "A"
x_m = 0
y_m = 0
feeder = "471"

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [
  {{ name = "a-1", profile = "pi_5_usb", bearer = "{bearer}", x_m = 0, y_m = 0, cell = "hill" }},
  {{ name = "a-2", profile = "pi_zero_2w_i2s", bearer = "{bearer}", x_m = 100, y_m = 0, \
feeder = "472" }},
]
"""


CANCEL = '[[day.orders]]\nat = "02:04"\nkind = "cancel"\n'


def clock(minute):
    """Return the wall clock so many minutes after 01:59."""
    return f"{(119 + minute) // 60:02}:{(119 + minute) % 60:02}"


@st.composite
def faults(draw):
    kind = draw(st.sampled_from(["power_cut", "link_down", "broker_down", "card_gone"]))
    start = draw(st.integers(0, 7))
    end = start + draw(st.integers(1, 5))
    text = f'[[faults]]\nkind = "{kind}"\nstart = "{clock(start)}"\nend = "{clock(end)}"\n'
    may = ["", 'cluster = "a-1"', 'cluster = "a-2"', 'feeder = "472"', 'cell = "hill"']
    if kind == "broker_down":
        may = [""]
    elif kind == "link_down":
        may.append('backhaul = "A"')
    return text + draw(st.sampled_from(may)) + "\n"


OUTAGES = """
[[outages]]
kind = "{}"
shared_by = "feeder"
per_year = {{ value = 6000, source = "", verified = false }}
hours_per_year = {{ value = 1500, source = "", verified = false }}
"""


@st.composite
def villages(draw):
    ttl_s = draw(st.sampled_from([60, 200, 3600]))
    lasts_s = draw(st.sampled_from([120, 600, 3600]))
    orders = f'[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = {ttl_s}\nlasts_s = {lasts_s}\n'
    for kind in draw(st.lists(st.sampled_from(["cancel", "mute"]), max_size=2, unique=True)):
        at = clock(draw(st.integers(2, 5)))
        orders += f'[[day.orders]]\nat = "{at}"\nkind = "{kind}"\n'
    return VILLAGE.format(
        seed=draw(st.integers(0, 99)),
        bearer=draw(st.sampled_from(["perfect", "lte_weak"])),
        floor=draw(st.sampled_from([90, 0])),
        orders=orders,
        faults="\n".join(draw(st.lists(faults(), max_size=3)))
        + draw(st.sampled_from(["", *(OUTAGES.format(one) for one in ("power_cut", "link_down"))])),
    )


def broken(kind, start, end, *, lasts_s=600, bearer="perfect", seed=5, then=""):
    """Return a village warned at 02:00, of which something is broken from one minute to another.

    `then` is what its station orders beside.
    """
    return VILLAGE.format(
        seed=seed,
        bearer=bearer,
        floor=90,
        orders=f'[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = 3600\nlasts_s = {lasts_s}\n'
        + then,
        faults=f'[[faults]]\nkind = "{kind}"\nstart = "{start}"\nend = "{end}"\n',
    )
