"""A rate counts what passes it once: what one queue of that rate lets through comes through."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.drive.run import run
from tests.sim.thin import THIN
from tests.sim.world.test_live import loaded, village

PACKET_MS = 20
DURATION_S = 10
MARGIN_COPIES = 3
"""The one that is under way, and two that the station's pacing moves."""


def through(offered, *, rate_kbit_s, queue_ms, packet_bits):
    """Return how many of these copies, even in time, a full queue lets through."""
    served = (DURATION_S + queue_ms / 1000) * rate_kbit_s * 1000 / packet_bits
    return min(offered, math.floor(served))


def asked(tmp_path_factory, *, rate, queue_ms, poles, cell=100_000, where="backhaul", more=""):
    thin = THIN.format(loss=0, rate=rate, cell=cell)
    thin = thin.replace("value = 300,", f"value = {queue_ms},")
    backhaul, bearer = ("thin", "perfect") if where == "backhaul" else ("perfect", "thin")
    text = village(
        duration_s=DURATION_S,
        again=False,
        delay_ms=2000,
        more=thin + more,
        backhaul=backhaul,
        poles=[("pi_4b_usb", bearer)] * poles,
    )
    return loaded(tmp_path_factory, text.replace("delivery =", "reports = false\ndelivery ="))


def held_to_one_queue(told, *, rate, queue_ms, share=1.0):
    """Hold what came to the poles of a run against what one queue lets through."""
    sent = sum(one.packets_sent for one in told.nodes)
    came = sent - sum(one.packets_lost for one in told.nodes)
    backhaul = told.capacity[0]
    packet_bits = (backhaul.asked_kbit_s - backhaul.chatter_kbit_s) / backhaul.streams * PACKET_MS
    right = through(sent, rate_kbit_s=rate * share, queue_ms=queue_ms, packet_bits=packet_bits)
    beside = math.ceil(backhaul.chatter_kbit_s * DURATION_S * 1000 / packet_bits)  # MQTT, as it may
    assert right - MARGIN_COPIES - beside <= came <= right + MARGIN_COPIES, (came, right, sent)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.integers(1, 8), st.sampled_from([0.2, 0.5, 0.85, 0.96, 1.02, 1.5]), st.integers(40, 1500))
@example(1, 18 / 36, 300)
@example(1, 30 / 36, 300)
@example(1, 34 / 36, 300)
def test_a_backhaul_drops_what_its_own_queue_has_no_room_for_and_no_more(
    tmp_path_factory, poles, share, queue_ms
):
    rate = max(9, round(36 * poles * share))
    told = run(asked(tmp_path_factory, rate=rate, queue_ms=queue_ms, poles=poles), decode=False)
    held_to_one_queue(told, rate=rate, queue_ms=queue_ms)


def congested(tmp_path_factory, *, rate, share):
    fault = (
        f'[[faults]]\nkind = "congestion"\nhamlet = "A1"\nshare = {share}\n'
        f"from_s = 0\nuntil_s = {DURATION_S + 1}\n"
    )
    told = asked(
        tmp_path_factory,
        rate=rate,
        queue_ms=300,
        poles=1,
        where="link",
        more=fault if share < 1 else "",
    )
    return run(told, decode=False)


@pytest.mark.parametrize("rate", [18, 30, 34, 40, 80])
@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_a_congested_last_link_drops_by_one_queue_too(tmp_path_factory, rate, share):
    told = congested(tmp_path_factory, rate=rate, share=share)
    held_to_one_queue(told, rate=rate, queue_ms=300, share=share)


def test_congestion_that_takes_nothing_to_speak_of_takes_no_time(tmp_path_factory):
    whole, left = (congested(tmp_path_factory, rate=80, share=one) for one in (1.0, 0.99))
    packet_ms = 36 * PACKET_MS / 80
    assert left.nodes[0].downlink_ms - whole.nodes[0].downlink_ms < packet_ms / 10
