"""A pole without its sound card: what did not sound is not proven; it sounds when it is back."""

import msgspec
import pytest

from node.control.orders import Session
from node.control.trust.message import Kind
from node.control.warning.short_alert import encode_short
from node.units import RATE_HZ
from tests.node.test_governed import (
    CALENDAR,
    COMMUNE,
    NEWS,
    SIREN,
    URGENT,
    Pole,
    loudest_hz,
    tone,
)

LATE = CALENDAR.replace('start = "05:30"', 'start = "05:30"\nmissed = "late"\nlate_max_s = 60')
RELAY = CALENDAR.replace(f'"file", duration_s = 8, media = {{ vi = "{NEWS}" }}', '"relay", '
                         'duration_s = 4, stream = "radio"')  # fmt: skip


def test_a_warning_waits_for_the_card_and_is_heard_when_it_is_back():
    pole = Pole({SIREN: tone(900, 2)})
    pole.plug(card=False)
    pole.order(COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1, lasts_s=600), URGENT)
    pole.run(20)
    assert pole.proofs() == []
    pole.plug(card=True)
    siren = pole.run(2)
    assert loudest_hz(siren[RATE_HZ // 2 : RATE_HZ]) == pytest.approx(900, abs=3)


def test_a_warning_that_ended_before_the_card_was_back_is_not_proven_as_played():
    pole = Pole({SIREN: tone(900, 2)})
    pole.plug(card=False)
    pole.order(COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1, lasts_s=10), URGENT)
    pole.run(15)
    (record,) = pole.proofs()
    assert record["outcome"] != "played" and record["sounded_s"] == 0
    pole.plug(card=True)
    assert not pole.run(3).any()


@pytest.mark.parametrize(("lost_s", "gone_s"), [(2, 3), (6, 7), (3, 12)])
def test_an_item_that_is_cut_off_goes_on_or_says_what_was_heard(lost_s, gone_s):
    pole = Pole({NEWS: tone(440, 8)})
    pole.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
    pole.run(2 + lost_s)
    pole.plug(card=False)
    pole.run(gone_s)
    pole.plug(card=True)
    rest = pole.run(10)
    (news,) = pole.proofs()
    heard_s = sum(part["heard_ms"] for part in news["parts"]) / 1000
    if gone_s < 8:
        assert news["outcome"] == "played"
        assert abs(heard_s - 8) <= 1
        assert rest.any()
    elif gone_s > 9:
        assert (news["outcome"], news["reason"]) == ("stopped", "no sound card")
        assert abs(heard_s - lost_s) <= 1 and abs(news["sounded_s"] - lost_s) <= 1
        assert not rest.any(), "nobody wants the news of yesterday"


@pytest.mark.parametrize(("calendar", "is_heard"), [(CALENDAR, False), (LATE, True)])
def test_what_is_due_without_a_card_is_missed_unless_it_may_be_late(calendar, is_heard):
    pole = Pole({NEWS: tone(440, 8)})
    pole.plug(card=False)
    pole.order(COMMUNE, Kind.CALENDAR, calendar.encode())
    pole.run(20)
    if not is_heard:
        (news,) = pole.proofs()
        assert (news["outcome"], news["reason"]) == ("missed", "no sound card")
    pole.plug(card=True)
    assert pole.run(10).any() == is_heard
    assert pole.proofs()[0]["outcome"] == ("played" if is_heard else "missed")


@pytest.mark.parametrize("comes_back", [False, True])
def test_of_a_stream_only_what_had_a_card_is_recorded_and_it_goes_on_live(comes_back):
    pole = Pole({})
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8)))
    music = tone(440, 9)
    pole.plug(card=False)
    pole.run(6, music, 8)
    if comes_back:
        pole.plug(card=True)
        live = pole.run(3, music[300:], 8, first=300)
        assert loudest_hz(live[RATE_HZ : 2 * RATE_HZ]) == pytest.approx(440, abs=3)
    pole.plug(card=False)
    pole.order(COMMUNE, Kind.SESSION_END, msgspec.json.encode(Session(8)))
    pole.run(1)
    (record,) = pole.proofs()
    assert record["outcome"] == ("played" if comes_back else "missed")
    assert record["sounded_s"] == (3 if comes_back else 0)


def test_a_relayed_stream_that_nobody_could_hear_is_not_proven_as_played():
    pole = Pole({})
    pole.order(COMMUNE, Kind.CALENDAR, RELAY.encode())
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8, stream="radio")))
    pole.plug(card=False)
    pole.run(12, tone(440, 8), 8)
    (record,) = pole.proofs()
    assert record["outcome"] == "missed" and "sound" in record["reason"]
