"""Who plays nothing of a live programme for want of its announcement is told so."""

import pytest

from sim.day.answer import answer_of
from sim.village.places import build_village
from sim.world.stretch import Stretch
from tests.sim.thin import THIN
from tests.sim.world.test_live import loaded, village

DURATION_S = 20


def live_items(tmp_path_factory, *, seed, rate, queue_ms, loss):
    """Return what is said of a live programme at each of three poles on such a line."""
    lines = THIN.format(loss=loss, rate=rate, cell=9_000)
    lines = lines.replace("value = 300,", f"value = {queue_ms},")
    poles = [("pi_4b_usb", "thin")] * 3
    told = village(seed=seed, duration_s=DURATION_S, more=lines, poles=poles)
    asked = loaded(tmp_path_factory, told)
    stretch = Stretch(asked, build_village(asked), begin_s=7_200, end_s=7_320, live=True)
    try:
        for _ in stretch.advance():
            pass
    finally:
        stretch.world.close()
    lived = stretch.lived()
    found = [
        one for one in answer_of(stretch.plan, lived).items if one.item == stretch.plan.live.name
    ]
    assert len(found) == 3
    return found, lived


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("rate", "queue_ms", "loss"), [(11, 50, 0), (1_000, 300, 30), (1_000, 50, 60)]
)
def test_an_announcement_comes_in_time_or_late_or_is_said_not_to(
    tmp_path_factory, seed, rate, queue_ms, loss
):
    found, lived = live_items(tmp_path_factory, seed=seed, rate=rate, queue_ms=queue_ms, loss=loss)
    for one, pole in zip(found, lived, strict=True):
        if pole.announced_s is None:
            assert one.outcome == "missed"
            assert "its announcement never came" in one.reason
        elif pole.announced_s > 7_260.2 and one.outcome != "played":
            late_s = pole.announced_s - 7_260
            assert f"its announcement came {late_s:.0f} s after its begin" in one.reason
        else:
            assert one.outcome == "played" or "announcement" not in one.reason
    if loss == 60 and seed > 1:
        assert any("announcement" in one.reason for one in found)
