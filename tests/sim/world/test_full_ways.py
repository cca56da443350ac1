"""Behind ways that do not carry what is sent, all tiers count the same of each pole."""

from dataclasses import asdict, replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.drive.run import run
from sim.fleet import run as fleet
from tests.sim.fleet.test_run import SKEW
from tests.sim.thin import THIN
from tests.sim.world.test_live import lived, loaded, village

PROFILES = ["pi_zero_2w_i2s", "pi_4b_usb", "pi_3b_plus_usb", "pi_5_i2s"]
BEARERS = ["thin", "lte_weak", "wifi24_outdoor", "ftth", "perfect"]
STREAM_KBIT_S = 36
ORDER_KBIT = 24
"""Two segments: a queue that holds them lets the order through that announces the programme."""


def thin(*, share, poles, queue_ms, loss, cell_share):
    """Return a bearer that as a backhaul or a cell carries a share of what so many poles hear."""
    whole, least = STREAM_KBIT_S * poles, round(ORDER_KBIT * 1000 / queue_ms)
    rates = {
        "rate": max(least, round(whole * share)),
        "cell": max(least, round(whole * cell_share)),
    }
    return THIN.format(loss=loss, **rates).replace("value = 300,", f"value = {queue_ms},")


@st.composite
def villages(draw):
    pole = st.tuples(st.sampled_from(PROFILES), st.sampled_from(BEARERS))
    poles = draw(st.lists(pole, min_size=1, max_size=8))
    more = thin(
        share=draw(st.sampled_from([0.3, 0.6, 0.9, 1.0, 1.1, 1.5])),
        poles=len(poles),
        queue_ms=draw(st.sampled_from([150, 300, 700, 1500])),
        loss=draw(st.sampled_from([0, 1, 4])),
        cell_share=draw(st.sampled_from([0.5, 0.9, 1.2, 20])),
    )
    duration_s = draw(st.sampled_from([3, 6, 10]))
    for kind in draw(st.sets(st.sampled_from(["link_down", "congestion"]))):
        start_s = draw(st.integers(0, duration_s - 2))
        until_s = draw(st.integers(start_s + 1, duration_s))
        more += f'[[faults]]\nkind = "{kind}"\nfrom_s = {start_s}\nuntil_s = {until_s}\n'
        more += "share = 0.3\n" if kind == "congestion" else ""
    return village(
        seed=draw(st.integers(0, 10_000)),
        duration_s=duration_s,
        again=draw(st.booleans()),
        delay_ms=draw(st.sampled_from([100, 200, 400, 800])),
        more=more,
        backhaul=draw(st.sampled_from(["thin", "lte_weak", "backhaul_fibre"])),
        poles=poles,
    )


@settings(max_examples=8, derandomize=True)
@given(villages())
@example(
    village(
        duration_s=6,
        delay_ms=200,
        again=False,
        backhaul="lte_weak",
        poles=[("pi_zero_2w_i2s", "lte_weak")] * 15,
    )
)
@example(
    village(
        duration_s=6,
        delay_ms=400,
        again=False,
        backhaul="lte_weak",
        poles=[("pi_zero_2w_i2s", "lte_weak")] * 15,
    )
)
@example(  # of so few packets no two follow each other: the node counts them as they come
    village(
        seed=0,
        duration_s=10,
        delay_ms=100,
        again=False,
        more=thin(share=0.3, poles=4, queue_ms=700, loss=1, cell_share=0.5),
        backhaul="thin",
        poles=[
            ("pi_3b_plus_usb", "ftth"),
            ("pi_5_i2s", "ftth"),
            ("pi_3b_plus_usb", "wifi24_outdoor"),
            ("pi_3b_plus_usb", "wifi24_outdoor"),
        ],
    )
)
def test_all_tiers_count_the_same_behind_a_full_way(tmp_path_factory, text):
    asked = loaded(tmp_path_factory, text)
    driven = run(asked, decode=False).nodes
    rows = lived(asked).world.live.rows()
    assert [asdict(one) for one in rows] == [asdict(one) for one in driven]
    if "congestion" in text:
        return  # the fleet does not live it
    for one, other in zip(driven, fleet.run(asked).nodes, strict=True):
        known = {name: getattr(one, name) for name in SKEW if hasattr(one, name)}
        assert one == replace(other, **known)
