"""Whose packets are heard: those of the announced sender, each once, and nobody else's."""

from random import Random

import msgspec
import numpy as np
import pylibsrtp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.control.orders import Session
from node.control.trust import packet_guard
from node.control.trust.message import Kind
from node.control.trust.packet_guard import (
    CHECKS_PER_S,
    SEARCHES_MAX_PER_S,
    SEARCHES_PER_S,
    SRTP_KEY_BYTES,
    TURNS_MAX,
    WINDOW,
    SignedGuard,
    SrtpGuard,
    sign_packet,
    srtp_policy,
)
from node.control.trust.passes import NEAR, NO_PASS, PASS_BYTES, Passes, follows
from node.control.trust.signature import SeedSigner
from node.control.wraps import WRAPS_MAX
from node.counters import Count
from node.rtp import packet as rtp
from node.units import NS_PER_MS, NS_PER_S
from tests.node.test_governed import COMMUNE, Pole, loudest_hz, tone

VOICE, THIEF = SeedSigner(b"v" * 32), SeedSigner(b"t" * 32)
SOURCE = ("10.0.0.1", 5004)
KEY = bytes(range(SRTP_KEY_BYTES))


def packets(ssrc=8, seconds=2.0, hertz=440):
    return [
        rtp.build(
            payload,
            sequence=i,
            timestamp=i * 960,
            ssrc=ssrc,
            payload_type=96,
            marker=i == 0,
        )
        for i, payload in enumerate(tone(hertz, seconds))
    ]


def announced(**keys):
    pole = Pole({}, unsigned="refuse")
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8, **keys)))
    return pole


def heard(pole, datagrams, source=SOURCE):
    """Let one datagram come every 20 ms; return the sound."""
    sound = []
    for datagram in datagrams:
        pole.node.receive_datagram(datagram, source, pole.now_ns)
        sound.append(pole.run(0.02))
    return np.concatenate(sound)


def test_signed_packets_of_the_announced_sender_are_heard():
    pole = announced(public_key=VOICE.public_key, counter_start=100)
    sound = heard(pole, [sign_packet(p, 100 + i, VOICE) for i, p in enumerate(packets())])
    assert loudest_hz(sound[48_000:]) == pytest.approx(440, abs=3)
    assert pole.node.counts[Count.DROPPED_UNAUTHENTICATED] == 0


def test_a_thief_who_knows_the_number_and_the_address_is_not_heard_and_counted():
    pole = announced(public_key=VOICE.public_key)
    forged = [
        *packets(),
        *(sign_packet(p, i, THIEF) for i, p in enumerate(packets())),
        *(sign_packet(p, i, VOICE)[:-1] + b"x" for i, p in enumerate(packets())),
    ]
    assert not heard(pole, forged).any()
    assert pole.node.counts[Count.DROPPED_UNAUTHENTICATED] == len(forged)


def test_the_genuine_sender_is_heard_among_the_packets_of_a_thief():
    pole = announced(public_key=VOICE.public_key)
    sound = []
    for i, (mine, theirs) in enumerate(zip(packets(), packets(hertz=900), strict=True)):
        for datagram in (sign_packet(theirs, i, THIEF), theirs, sign_packet(theirs, 9999, THIEF)):
            pole.node.receive_datagram(datagram, SOURCE, pole.now_ns)
        pole.node.receive_datagram(sign_packet(mine, i, VOICE), SOURCE, pole.now_ns)
        sound.append(pole.run(0.02))
    assert loudest_hz(np.concatenate(sound)[48_000:]) == pytest.approx(440, abs=3)


def test_packets_of_yesterday_are_not_heard_under_todays_session():
    yesterday = [sign_packet(p, 1000 + i, VOICE) for i, p in enumerate(packets())]
    pole = announced(public_key=VOICE.public_key, counter_start=50_000)
    assert not heard(pole, yesterday).any()


def test_srtp_packets_are_heard_and_those_of_another_key_or_in_clear_are_not():
    pole = announced(srtp_key=KEY)
    stranger = pylibsrtp.Session(srtp_policy(bytes(SRTP_KEY_BYTES), inbound=False))
    mine = pylibsrtp.Session(srtp_policy(KEY, inbound=False))
    assert not heard(pole, [stranger.protect(p) for p in packets(seconds=0.5)]).any()
    assert not heard(pole, packets(seconds=0.5)).any()
    sealed = [mine.protect(p) for p in packets()]
    assert loudest_hz(heard(pole, sealed)[48_000:]) == pytest.approx(440, abs=3)
    pole.run(1)
    assert not heard(pole, sealed).any()  # a second time


def test_a_session_without_a_key_is_refused_unless_the_file_allows_it():
    assert not heard(announced(), packets()).any()
    pole = Pole({})
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8)))
    assert heard(pole, packets()).any()


def test_packets_from_another_host_than_the_named_one_are_not_heard():
    pole = announced(public_key=VOICE.public_key, address="10.0.0.1")
    signed = [sign_packet(p, i, VOICE) for i, p in enumerate(packets())]
    assert not heard(pole, signed[:50], ("10.0.0.2", 5004)).any()
    assert heard(pole, signed[50:]).any()


def test_a_goodbye_that_a_stranger_sends_ends_nothing():
    pole = announced(public_key=VOICE.public_key)
    signed = [sign_packet(p, i, VOICE) for i, p in enumerate(packets(seconds=3))]
    heard(pole, signed[:50])
    goodbye = bytes([0x81, 203, 0, 1]) + (8).to_bytes(4, "big")
    pole.node.receive_datagram(goodbye + bytes(8), SOURCE, pole.now_ns)
    assert np.abs(heard(pole, signed[50:])[:4800]).max() > 0.1


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_no_packet_is_taken_twice_and_none_from_below_the_window(counters):
    guard = SignedGuard(VOICE.public_key, 5)
    taken: set[int] = set()
    for counter in counters:
        packet = counter.to_bytes(4, "big")
        opened = guard.open(sign_packet(packet, counter, VOICE), SOURCE, 0, is_rtcp=False)
        new = counter >= 5 and counter not in taken and counter > max(taken, default=0) - WINDOW
        assert opened == (packet if new else None)
        taken |= {counter} if new else set()


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise_and_none_is_taken(data, is_rtcp):
    for guard in (SignedGuard(VOICE.public_key, 0), SrtpGuard(KEY)):
        assert guard.open(data, SOURCE, 0, is_rtcp=is_rtcp) is None


def test_a_flood_of_forgeries_from_one_host_costs_no_more_than_its_share():
    guard = SignedGuard(VOICE.public_key, 0)
    forged = sign_packet(b"packet", 7, THIEF)
    for _ in range(CHECKS_PER_S):
        guard.open(forged, ("10.6.6.6", 1), 0, is_rtcp=False)
    genuine = sign_packet(b"packet", 7, VOICE)
    assert guard.open(genuine, ("10.6.6.6", 1), 0, is_rtcp=False) is None
    assert guard.open(genuine, SOURCE, 0, is_rtcp=False) == b"packet"


@pytest.mark.parametrize("hears", [True, False])
def test_a_hundredfold_flood_in_the_senders_name_costs_no_thousandth_of_its_sound(hears):
    """Who forges the address, and hears each packet as soon as the node: 5,000 a second."""
    guard, passes, rng = SignedGuard(VOICE.public_key, 0), Passes(b"1234"), Random(7)
    packets, lost, shown = 3000, 0, NO_PASS
    forged = sign_packet(b"p" * 92, 1, THIEF)
    for counter in range(packets):
        now_ns = counter * 20 * NS_PER_MS
        for n in range(100):
            turn = shown if hears else rng.randbytes(PASS_BYTES)
            aim = counter + rng.randrange(4) if hears else rng.randrange(1 << 62)
            told = b"p" * 92 + turn + aim.to_bytes(8, "big") + forged[-64:]
            assert guard.open(told, SOURCE, now_ns + n, is_rtcp=False) is None
        turn = passes.take()
        genuine = sign_packet(b"genuine", counter, VOICE, turn)
        if hears and counter % 50 == 49:
            lost += 1  # by the network: the next one shows a pass two steps on
            continue
        lost += guard.open(genuine, SOURCE, now_ns + 100, is_rtcp=False) is None
        shown = turn
    of_the_network = packets // 50 if hears else 0
    assert lost - of_the_network <= packets // 1000


def test_who_shows_a_pass_again_buys_few_checks_and_none_without_end(monkeypatch):
    checks = []
    monkeypatch.setattr(packet_guard, "verified", lambda *_: bool(checks.append(1)))
    guard, passes = SignedGuard(VOICE.public_key, 0), Passes(b"1234", 8)
    first, second = passes.take(), passes.take()
    monkeypatch.setattr(packet_guard, "verified", lambda *_: True)
    guard.open(sign_packet(b"p", 0, VOICE, first), SOURCE, 0, is_rtcp=False)
    monkeypatch.setattr(packet_guard, "verified", lambda *_: bool(checks.append(1)))
    for _ in range(5000):
        guard.open(sign_packet(b"p", 1, THIEF, second), SOURCE, 0, is_rtcp=False)
    assert len(checks) <= TURNS_MAX + CHECKS_PER_S


@given(st.integers(1, 40), st.integers(0, 39), st.integers(-2, 8))
def test_a_pass_is_known_by_the_one_before_it_and_by_no_other(count, at, steps):
    chain = Passes(b"1234", count)
    shown = [chain.take() for _ in range(count * 20)]
    assert len(set(shown)) == len(shown)  # the next chain begins where one ends
    wanted = 1 <= steps <= NEAR and at + steps < count and at < count
    if at < count and at + steps >= 0:
        assert follows(shown[at + steps], shown[at], steps) == wanted
    assert not follows(b"otherone", shown[0], max(steps, 1))


def numbered(index, *, ssrc=8, csrcs=0, extension=0):
    """Return a packet, in clear, by its number with the wraps."""
    first = 0x80 | csrcs | (0x10 if extension else 0)
    head = bytes([first, 96]) + (index & 0xFFFF).to_bytes(2, "big") + index.to_bytes(4, "big")
    more = b"\xbe\xde" + (extension - 1).to_bytes(2, "big") if extension else b""
    body = bytes(4 * csrcs) + more + bytes(4 * max(extension - 1, 0)) + index.to_bytes(8, "big")
    return head + ssrc.to_bytes(4, "big") + body


def sealed_at(*indices, **shape):
    """Return SRTP packets of those numbers, ascending: a sender that has counted up to them."""
    session, at, found = pylibsrtp.Session(srtp_policy(KEY, inbound=False)), 0, []
    for index in indices:
        while index - at > 0x7000:
            at += 0x7000
            session.protect(numbered(at, **shape))
        found.append(bytes(session.protect(numbered(index, **shape))))
        at = max(at, index)
    return found


INDICES = st.integers(0, (WRAPS_MAX << 16) - 70_000)


@given(
    st.integers(0, 0x7FFF), INDICES, st.integers(1, 70_000),
    st.integers(0, 15), st.integers(0, 4),
)  # fmt: skip
@example(30_000, 65_536, 1, 0, 0)
@example(100, 40_000, 70_000, 0, 0)
@example(0, 0, 65_535, 0, 0)  # looks like the one before
def test_who_comes_late_or_was_away_hears_the_rest_and_nothing_that_was_said_before(
    first, ahead, further, csrcs, extension
):
    """However often numbers have wrapped since: at a restart, and while a link was gone."""
    shape = {"csrcs": csrcs, "extension": extension}
    at = [first, first + ahead + 1, first + ahead + 1 + further]
    sealed = sealed_at(*at, at[-1] + 1, **shape)
    guard, now_ns = SrtpGuard(KEY), 0

    def opened(data):
        nonlocal now_ns
        now_ns += 200 * NS_PER_S
        return guard.open(data, SOURCE, now_ns, is_rtcp=False)

    for index, data in zip(at[1:], sealed[1:-1], strict=True):  # it was not there for the first
        assert opened(data) == numbered(index, **shape)
    assert opened(sealed[-1]) == numbered(at[-1] + 1, **shape)
    begin = 0 if at[-1] + 1 - first >= WINDOW else 1  # what was only overtaken is no repetition
    assert [opened(data) for data in sealed[begin:]] == [None] * (4 - begin)


def test_what_was_overtaken_where_a_late_node_begins_is_heard():
    one, other, newest = sealed_at(200_000, 200_500, 201_000)
    guard = SrtpGuard(KEY)
    for data in (newest, one, other):
        assert guard.open(data, SOURCE, 0, is_rtcp=False) is not None


@pytest.mark.parametrize("hosts", [1, 1000])
def test_a_flood_of_forgeries_costs_few_searches_and_keeps_no_late_node_silent(hosts):
    """Addresses are forged too; junk that comes with the stream's number changes nothing."""
    guard, searched, heard = SrtpGuard(KEY), [], []
    real, packet_guard.Rollover.index_of = (
        packet_guard.Rollover.index_of,
        lambda *given: searched.append(1) or real(*given),
    )
    try:
        for second in range(3):
            searched.clear()
            voice = sealed_at(*range(100_000 + 50 * second, 100_050 + 50 * second))
            for number in range(1000):
                junk = numbered(number * 7)[:12] + bytes([number % 256]) * 40
                host, at_ns = f"10.0.{number % hosts}", second * NS_PER_S + number * NS_PER_MS
                assert guard.open(junk, (host, 1), at_ns, is_rtcp=False) is None
                if number % 20 == 19:
                    heard.append(guard.open(voice.pop(0), SOURCE, at_ns, is_rtcp=False))
            most = 2 * SEARCHES_PER_S if hosts == 1 else SEARCHES_MAX_PER_S
            assert len(searched) <= most
        assert heard[-1] == numbered(100_149)
    finally:
        packet_guard.Rollover.index_of = real


def test_numbers_of_so_many_streams_are_kept_and_no_more():
    guard = SrtpGuard(KEY)
    for ssrc in range(3 * packet_guard.STREAMS_MAX):
        (data,) = sealed_at(70_000, ssrc=ssrc)
        assert guard.open(data, SOURCE, ssrc * 1000 * NS_PER_MS, is_rtcp=False) is not None
