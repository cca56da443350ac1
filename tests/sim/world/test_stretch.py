"""Whole daemons in virtual time: who is warned, by the very code that runs on the pole."""

import asyncio

import pytest

from sim.village import scenario
from sim.village.places import build_village
from sim.world.loop import NotVirtualError
from sim.world.stretch import Stretch

BEGIN_S, END_S = 7_140, 7_560
MODEMS = ("bl-02", "bl-03")


def run(begin_s=BEGIN_S, end_s=END_S, name="flood_night"):
    asked = scenario.load(name)
    stretch = Stretch(asked, build_village(asked), begin_s=begin_s, end_s=end_s)
    for _ in stretch.advance():
        pass
    return stretch


@pytest.fixture(scope="module")
def flood():
    stretch = run()
    yield stretch
    stretch.world.close()


def warnings_of(stretch):
    return {one.node: one for one in stretch.fates() if one.kind == "alert"}


def test_the_daemons_hear_the_warning_where_they_can_and_the_rest_is_named(flood):
    fates = warnings_of(flood)
    heard = {node for node, one in fates.items() if one.fate == "heard"}
    late = {node for node, one in fates.items() if one.fate in ("late", "heard in part")}
    assert heard == {"bl-01", "bl-02", "bl-03", "bl-04"}
    assert late == {"bl-08", "bl-09", "bl-10"}
    for node in heard:
        assert fates[node].first_sound_s < (2.7 if node in MODEMS else 1.0)
        assert fates[node].languages == "vi"
    for node in late:
        assert 300 < fates[node].first_sound_s < 315, "back within 5 s of the link, then at once"
    for node in ("bl-05", "bl-06", "bl-07"):
        assert fates[node].reason == "no power when the stretch ended"
    assert fates["bl-11"].reason == "no signal when the stretch ended"


def test_every_daemon_took_its_keys_and_plans_and_answered_for_them(flood):
    for pole in flood.world.poles:
        node = pole.observer.diary.node
        if node in ("bl-05", "bl-06", "bl-07", "bl-11"):
            assert not pole.observer.answers
        else:
            assert set(pole.observer.answers.values()) == {"obeyed", "waiting"}


def test_the_state_of_every_node_is_at_the_broker(flood):
    broker = flood.world.broker
    assert b'"ready"' in broker.retained("pa/v1/village/node/bl-01/state")
    assert broker.retained("pa/v1/village/node/bl-05/state") is None, "it never came"


def test_a_run_twice_is_one_run():
    first, second = run(end_s=7_260), run(end_s=7_260)
    assert first.fates() == second.fates()
    assert first.world.loop.steps == second.world.loop.steps
    for one, other in zip(first.world.poles, second.world.poles, strict=True):
        assert one.observer.proof == other.observer.proof
        assert (one.origin_samples == other.origin_samples).all()
    first.world.close()
    second.world.close()


def test_a_daemon_that_asks_for_a_real_thread_ends_the_run(monkeypatch):
    from sim.world.connection import Network

    async def connect(self, login):
        await asyncio.get_running_loop().run_in_executor(None, print)

    monkeypatch.setattr(Network, "connect", connect)
    with pytest.raises(NotVirtualError):
        run(end_s=7_200)
