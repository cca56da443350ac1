"""Days of a test of which only a part is lived: what is idle for hours need not be waited for."""

from contextlib import closing

from sim.day.answer import answer_of
from sim.village.places import build_village
from sim.world.stretch import Stretch
from sim.world.whole_day import live_orders

EVENING = (16 * 3600 + 55 * 60, 17 * 3600 + 30 * 60)
"""In s into the day."""


def around_orders(loaded, built=None):
    """Return what a day answers of which the part around its orders is lived."""
    stretch = live_orders(loaded, built or build_village(loaded))
    return answer_of(stretch.plan, stretch.lived())


def part_of(loaded, begin_s, end_s, *, built=None, decoder=None, witness=None):
    """Return what a part of a day answers, whose spans count from its begin.

    `witness` stands at the first pole.
    """
    stretch = Stretch(
        loaded,
        built or build_village(loaded),
        begin_s=begin_s,
        end_s=end_s,
        decoder_factory=decoder,
    )
    if witness is not None:
        stretch.world.poles[0].look_on(witness)
    with closing(stretch.world):
        for _ in stretch.advance():
            pass
    return answer_of(stretch.plan, stretch.lived())
