"""A warning that another one interrupts goes on after it, whenever it lost the horn."""

import hashlib
from functools import cache

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.precedence import MessageClass, PriorityConfig
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind
from node.control.trust.signature import SeedSigner
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.control.warning.short_alert import encode_short
from node.units import RATE_HZ
from tests.node.test_governed import COMMUNE, ROOT, Pole, loudest_hz, tone

URGENT = MessageClass.URGENT
PROVINCE = SeedSigner(hashlib.sha256(b"province").digest())
OWN, WORDS, OTHER = (letter * 64 for letter in "abc")
HERTZ = {OWN: 500.0, WORDS: 900.0, OTHER: 1600.0}


@cache
def library():
    return {name: tone(hertz, 1) for name, hertz in HERTZ.items()}


def heard_s(sound):
    """Return for how long each tone sounded, looked at every 20 ms."""
    step = RATE_HZ // 50
    found = dict.fromkeys(HERTZ, 0.0)
    for at in range(0, len(sound) - step + 1, step):
        part = sound[at : at + step]
        if abs(part).max() > 0.05:
            hertz = loudest_hz(part)
            found[min(HERTZ, key=lambda name: abs(HERTZ[name] - hertz))] += 0.02
    return found


@settings(max_examples=40, derandomize=True, deadline=None)
@given(periods=st.integers(0, 230), tie_break=st.sampled_from(["first", "newest"]))
@example(periods=98, tie_break="first")
@example(periods=99, tie_break="first")
@example(periods=198, tie_break="first")
def test_a_warning_that_another_interrupts_is_heard_whole_after_it(periods, tie_break):
    """Siren and words of a second each; the other one comes at any 10 ms of them."""
    phrases = {
        "FFW": PhraseConfig(siren=OWN, siren_s=1, text={"any": WORDS}, text_s=1),
        "TOR": PhraseConfig(siren=OTHER, siren_s=1),
    }
    once = {"normal": 1, "priority": 1, "urgent": 1}
    pole = Pole(
        library(),
        alert=AlertConfig(phrases=phrases, repeat=once),
        priority=PriorityConfig(tie_break=tie_break),
    )
    claim = Certificate("province", PROVINCE.public_key, "province", "vn", URGENT, 1 << 39)
    pole.order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim))
    own = encode_short("alert", 1, event_code="FFW", lasts_s=600)
    other = encode_short("alert", 2, event_code="TOR", lasts_s=600)
    pole.order(COMMUNE, Kind.SHORT_ALERT, own, URGENT)
    sounds = [pole.run(periods / 100)]
    pole.order(PROVINCE, Kind.SHORT_ALERT, other, URGENT)
    sounds.append(pole.run(5))
    found = dict.fromkeys(HERTZ, 0.0)
    for sound in sounds:
        found = {name: found[name] + more for name, more in heard_s(sound).items()}
    assert all(found[name] == pytest.approx(1, abs=0.25) for name in HERTZ), found
    assert {one["outcome"] for one in pole.proofs()} == {"played"} and len(pole.proofs()) == 2
