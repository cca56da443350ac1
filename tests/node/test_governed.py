"""A node under orders: who was not announced is not heard, and a warning is, from the store."""

import hashlib
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.control.control_cap import FLOOD
from node.config import AmplifierConfig, JitterConfig, NodeConfig
from node.control.controller import Controller
from node.control.orders import Session
from node.control.precedence import MessageClass
from node.control.settings import ControlConfig, SiteConfig
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.control.warning.short_alert import encode_short
from node.counters import Count
from node.events import FetchFile, Persist, Publish, SendDatagram
from node.governed import GovernedSpeaker
from node.joined import JoinedSpeaker
from node.opus.libopus import LibopusDecoder
from node.rtp import join_packet
from node.rtp import packet as rtp
from node.source.stored_sound import OWN_SSRCS
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ

NORMAL, PRIORITY, URGENT = MessageClass
SIREN, NEWS = "a" * 64, "b" * 64
PERIOD = 480
START_S = int(datetime(2026, 11, 22, 22, 29, 58, tzinfo=UTC).timestamp())  # 05:29:58 in Viet Nam
ROOT, COMMUNE = (SeedSigner(hashlib.sha256(name).digest()) for name in (b"root", b"commune"))
CALENDAR = f"""
[[items]]
name = "news"
start = "05:30"
parts = [{{ kind = "file", duration_s = 8, media = {{ vi = "{NEWS}" }} }}]
"""


def tone(hertz: float, seconds: float) -> tuple[bytes, ...]:
    """Opus packets of a tone at -6 dBFS, by somebody else's encoder."""
    opuslib = pytest.importorskip("opuslib_next", reason="no Opus encoder here")
    encoder = opuslib.Encoder(RATE_HZ, 1, "audio")
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    samples = (0.5 * 32767 * np.sin(2 * np.pi * hertz * time_s)).astype(np.int16)
    return tuple(
        encoder.encode(samples[at : at + 960].tobytes(), 960)
        for at in range(0, len(samples) - 959, 960)
    )


class Pole:
    """A governed speaker, its sound card and its clock."""

    def __init__(
        self,
        library: dict[str, tuple[bytes, ...]],
        *,
        interval_s: int = 0,
        unsigned: str = "play",
        mute_release_s: float = 0.0,
        **more: object,
    ) -> None:
        phrase = PhraseConfig(siren=SIREN, siren_s=2)
        alert = AlertConfig(phrases={"any": phrase}, interval_s=interval_s)
        control = ControlConfig(
            root_public_key=ROOT.public_key.hex(),
            area="vn/huu-lien/coc-1",
            build_utc_s=START_S - 86_400,
            unsigned_packets=unsigned,
            **({"alert": alert} | more),
        )
        config = NodeConfig(
            name="coc-1",
            jitter=JitterConfig(playout_delay_ms=100),
            amplifier=AmplifierConfig(mute_release_s=mute_release_s),
        )
        speaker = SpeakerNode(config, decoder_factory=LibopusDecoder)
        controller = Controller("coc-1", control, (), {})
        self.node = GovernedSpeaker(speaker, controller, library, playout_delay_ms=100)
        self.now_ns = 10**10
        self.counter = 0
        self.card = True
        self.level: list[float] = []
        self.events: list[object] = []
        self.node.receive_time(START_S * NS_PER_S, self.now_ns, synchronised=True)
        claim = Certificate("commune", COMMUNE.public_key, "commune", "vn", URGENT, 1 << 39)
        self.order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim))

    def order(
        self, by: SeedSigner, kind: Kind, content: bytes, message_class: MessageClass = NORMAL
    ) -> None:
        """Send an order by a key, of a class."""
        self.counter += 1
        message = Message(
            kind=kind,
            key_id=by.key_id,
            counter=self.counter,
            issued_s=START_S,
            ttl_s=600,
            message_class=message_class,
            area="vn",
            content=content,
        )
        self.node.receive_message("order", seal(message, by), self.now_ns)

    def run(
        self, seconds: float, stream: tuple[bytes, ...] = (), ssrc: int = 0, *, first: int = 0
    ) -> np.ndarray:
        """Let time pass; return the sound, and note it."""
        sound = np.zeros((int(seconds * 100) * PERIOD, 1), np.float32)
        for period in range(len(sound) // PERIOD):
            number = period // 2
            if period % 2 == 0 and number < len(stream) and stream[number]:
                self.node.receive_datagram(
                    rtp.build(
                        stream[number],
                        sequence=first + number,
                        timestamp=(first + number) * 960,
                        ssrc=ssrc,
                        payload_type=96,
                        marker=number == 0,
                    ),
                    ("10.0.0.1", 5004),
                    self.now_ns,
                )
            due_ns = self.node.next_deadline_ns()
            if due_ns is not None and due_ns <= self.now_ns:
                self.node.handle_deadline(self.now_ns)
            while (event := self.node.next_event()) is not None:
                self.events.append(event)
            out = sound[period * PERIOD : (period + 1) * PERIOD]
            if self.card:
                self.node.render(out, self.now_ns + 20 * NS_PER_MS)
            self.now_ns += 10 * NS_PER_MS
        return sound[:, 0]

    def plug(self, *, card: bool) -> None:
        """Pull the sound card out, or plug it in."""
        self.card = card
        self.node.receive_sink(self.now_ns, sounds=card)

    def proofs(self) -> list[dict[str, object]]:
        """Return the records that were published."""
        return [
            msgspec.json.decode(event.payload)["record"]
            for event in self.events
            if isinstance(event, Publish) and event.topic == "proof"
        ]


def loudest_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * RATE_HZ / len(sound))


def test_a_stream_that_nobody_announced_is_silent_and_counted_one_that_was_is_heard():
    pole = Pole({})
    music = tone(440, 2)
    assert not pole.run(2, music, 7).any()
    assert pole.node.counts[Count.DROPPED_UNAUTHENTICATED] == len(music)
    assert pole.node.status()["control"]["refused_from"], "from where, for a person"
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8)))
    assert loudest_hz(pole.run(2, music, 8)[RATE_HZ:]) == pytest.approx(440, abs=3)


def told(steps, *, forgets):
    """Return what is admitted, packet by packet, and counted after these steps.

    `forgets`: each packet is asked about as the first one is.
    """
    pole = Pole({})
    found = []
    for number, (kind, ssrc, host) in enumerate(steps):
        pole.now_ns += 20 * NS_PER_MS
        if kind == "announce":
            pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(ssrc, address=host)))
        elif kind == "end":
            pole.order(COMMUNE, Kind.SESSION_END, msgspec.json.encode(Session(ssrc)))
        elif kind == "wait":
            pole.now_ns += 601 * NS_PER_S
            pole.node.handle_deadline(pole.now_ns)
        else:
            packet = rtp.build(
                bytes(8), sequence=number, timestamp=960 * number, ssrc=ssrc, payload_type=96,
                marker=kind == "first",
            )  # fmt: skip
            ask = pole.node.admit_anew if forgets else pole.node.admit
            found.append(ask(packet, (host, 5004), pole.now_ns))
    return found, pole.node.counts.tolist()


SPOKE = [("announce", 8, "10.0.0.1"), ("packet", 8, "10.0.0.1")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["packet", "packet", "packet", "first", "announce", "end", "wait"]),
            st.sampled_from([8, 9]),
            st.sampled_from(["10.0.0.1", "10.0.0.2"]),
        ),
        max_size=24,
    )
)
@example([*SPOKE, ("end", 8, "10.0.0.1"), ("packet", 8, "10.0.0.1")])
@example([*SPOKE, ("wait", 8, "10.0.0.1"), ("packet", 8, "10.0.0.1")])
@example([*SPOKE, ("announce", 8, "10.0.0.2"), ("packet", 8, "10.0.0.1")])
@example([*SPOKE, ("packet", 8, "10.0.0.2"), ("packet", 9, "10.0.0.1")])
@settings(deadline=None, max_examples=30)
def test_who_was_let_in_with_the_last_packet_is_let_in_only_as_long_as_it_may_be(steps):
    assert told(steps, forgets=False) == told(steps, forgets=True)


def test_nobody_outside_speaks_under_a_number_of_the_nodes_own():
    pole = Pole({SIREN: tone(900, 2)})
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(OWN_SSRCS + 1)))
    assert not pole.run(1, tone(440, 1), OWN_SSRCS + 1).any()


def test_a_few_signed_bytes_sound_the_stored_siren_and_the_news_goes_on_after_it():
    pole = Pole({SIREN: tone(900, 2), NEWS: tone(440, 8)})
    pole.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
    quiet = pole.run(2)
    assert not quiet.any()
    news = pole.run(3)
    assert loudest_hz(news[RATE_HZ:]) == pytest.approx(440, abs=3)
    pole.order(COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1, lasts_s=60), URGENT)
    siren = pole.run(3)
    # Playout delay 100 ms, the limiter's look-ahead and the ramp: within 300 ms it is all siren.
    assert loudest_hz(siren[int(0.3 * RATE_HZ) :]) == pytest.approx(900, abs=3)
    rest = pole.run(14)
    assert loudest_hz(rest[-9 * RATE_HZ : -6 * RATE_HZ]) == pytest.approx(440, abs=3)
    assert not rest[-RATE_HZ:].any()
    proofs = [
        msgspec.json.decode(event.payload)["record"]
        for event in pole.events
        if isinstance(event, Publish) and event.topic == "proof"
    ]
    assert [(p["name"][-4:], p["outcome"]) for p in proofs] == [
        ("0001", "played"),
        ("news", "played"),
    ]
    assert abs(proofs[1]["sounded_s"] - 8) <= 1


def test_a_sound_that_is_not_stored_is_recorded_as_not_played():
    pole = Pole({})
    pole.order(COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1, lasts_s=60), URGENT)
    assert not pole.run(1).any()
    (proof,) = [e for e in pole.events if isinstance(e, Publish) and e.topic == "proof"]
    record = msgspec.json.decode(proof.payload)["record"]
    assert (record["outcome"], record["reason"]) == ("missed", "no part could be played")
    assert any(isinstance(event, Persist) for event in pole.events)


def test_a_stream_is_as_loud_as_the_plan_of_the_minute_says():
    pole = Pole({})
    pole.order(
        COMMUNE,
        Kind.VOLUME,
        b'volume = 100\n[[rules]]\nname = "r"\nvolume = 50\nstart = "05:30"\nend = "06:00"',
    )
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8)))
    sound = pole.run(4, tone(440, 4), 8)
    before, after = sound[RATE_HZ : int(1.8 * RATE_HZ)], sound[3 * RATE_HZ :]
    ratio_db = 20 * np.log10(np.sqrt((after**2).mean()) / np.sqrt((before**2).mean()))
    assert ratio_db == pytest.approx(-10.0, abs=0.2)


def test_the_record_says_who_ordered_it_and_when_each_part_sounded_by_which_clock():
    pole = Pole({SIREN: tone(900, 2), NEWS: tone(440, 8)})
    pole.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
    pole.run(5)
    pole.order(COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1, lasts_s=60), URGENT)
    pole.run(20)
    warning, news = pole.proofs()
    assert warning["signed_by"] == news["signed_by"] == COMMUNE.key_id.hex()
    assert warning["issuer"] == news["issuer"] == "commune"
    assert [part["media"] for part in warning["parts"]] == [SIREN] * 3
    assert all(part["clock"] == "trusted" for part in warning["parts"])
    assert sum(part["heard_ms"] for part in warning["parts"]) == pytest.approx(6000, abs=600)
    (part,) = news["parts"]
    assert part["at_s"] == START_S + 2 and part["heard_ms"] == pytest.approx(8000, abs=300)
    assert news["concealed_ms"] == 0


def test_what_was_made_up_of_a_live_stream_is_in_its_record():
    pole = Pole({})
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8)))
    whole = tone(440, 3)
    pole.run(3, tuple(b"" if 50 <= i < 60 else one for i, one in enumerate(whole)), 8)
    pole.order(COMMUNE, Kind.SESSION_END, msgspec.json.encode(Session(8)))
    pole.run(0.1)
    (live,) = pole.proofs()
    assert (live["name"], live["outcome"], live["issuer"]) == ("live 00000008", "played", "commune")
    assert live["sounded_s"] == 3 and 100 <= live["concealed_ms"] <= 400
    assert pole.node.receive_message("order", b"", pole.now_ns) is None


def test_an_announced_stream_that_never_came_has_a_record_of_that():
    pole = Pole({})
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8)))
    pole.order(COMMUNE, Kind.SESSION_END, msgspec.json.encode(Session(8)))
    pole.run(0.1)
    (live,) = pole.proofs()
    assert (live["outcome"], live["reason"]) == ("missed", "nothing of it was heard")


RELAY = """
[[items]]
name = "radio"
start = "05:30"
parts = [{ kind = "relay", duration_s = 4, stream = "voice-of-lang-son" },
         { kind = "file", duration_s = 2, fallback = true, media = { vi = "NEWS" } }]
""".replace("NEWS", NEWS)


def test_a_relayed_stream_is_heard_while_its_item_runs_and_not_before_or_after():
    pole = Pole({NEWS: tone(700, 2)})
    pole.order(COMMUNE, Kind.CALENDAR, RELAY.encode())
    session = Session(8, "voice-of-lang-son")
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(session))
    sound = pole.run(9, tone(440, 9), 8)
    loud = np.flatnonzero(np.abs(sound) > 0.01) / RATE_HZ
    assert loud[0] == pytest.approx(2.1, abs=0.15) and loud[-1] == pytest.approx(6.1, abs=0.3)
    assert loudest_hz(sound[3 * RATE_HZ : 5 * RATE_HZ]) == pytest.approx(440, abs=3)
    (radio,) = pole.proofs()
    assert (radio["name"], radio["outcome"]) == ("radio", "played")
    assert radio["parts"][0]["media"] == "voice-of-lang-son"


@pytest.mark.parametrize("lasts_s", [3, 12])
@pytest.mark.parametrize("classes", [("priority", "normal"), ("normal", "priority")])
@pytest.mark.parametrize("first", ["province", "hamlet"])
def test_a_lower_tiers_item_that_relays_the_same_stream_takes_nothing_from_the_one_above(
    first, classes, lasts_s
):
    pole = Pole({})
    keys = {
        who: SeedSigner(hashlib.sha256(who.encode()).digest()) for who in ("province", "hamlet")
    }
    plans = {"province": (classes[0], 8), "hamlet": (classes[1], lasts_s)}
    for who in sorted(keys, key=lambda one: one != first):
        kind, seconds = plans[who]
        claim = Certificate(who, keys[who].public_key, who, "vn", PRIORITY, 1 << 39)
        pole.order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim))
        text = RELAY.replace("4,", f"{seconds},").replace('"radio"', f'"{who}"')
        text = text.replace("start", f'message_class = "{kind}"\nstart')
        pole.order(keys[who], Kind.CALENDAR, text.encode())
    pole.order(keys["hamlet"], Kind.VOLUME, b"volume = 0")
    session = Session(8, "voice-of-lang-son")
    pole.order(keys["province"], Kind.SESSION, msgspec.json.encode(session))
    sound = pole.run(16, tone(440, 16), 8)
    loud = np.flatnonzero(np.abs(sound) > 0.01) / RATE_HZ
    assert loud[0] == pytest.approx(2.1, abs=0.15) and loud[-1] == pytest.approx(10.1, abs=0.3)
    assert np.diff(loud).max() < 0.1, "and no hole where the lower one began or ended"
    heard = {one["name"]: one["parts"][0].get("heard_ms", 0) for one in pole.proofs()}
    assert heard["province"] == pytest.approx(8000, abs=300)


def test_an_item_relays_whoever_has_its_streams_name_now_and_never_who_has_lost_it():
    pole = Pole({})
    pole.order(COMMUNE, Kind.CALENDAR, RELAY.replace("4,", "12,").encode())
    first, second = Session(8, "voice-of-lang-son"), Session(9, "voice-of-lang-son")
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(first))
    assert pole.run(4, tone(440, 4), 8)[-RATE_HZ:].any()
    pole.order(COMMUNE, Kind.SESSION_END, msgspec.json.encode(first))
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8, "another")))
    assert not pole.run(2, tone(440, 2), 8)[RATE_HZ:].any()
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(second))
    assert loudest_hz(pole.run(4, tone(700, 4), 9)[-2 * RATE_HZ :]) == pytest.approx(700, abs=3)


@pytest.mark.parametrize("kind", list(MessageClass))
@pytest.mark.parametrize("most", list(MessageClass))
def test_nobody_speaks_in_an_item_that_their_key_may_not_order(most, kind):
    pole = Pole({NEWS: tone(700, 2)})
    school = SeedSigner(hashlib.sha256(b"school").digest())
    claim = Certificate("school", school.public_key, "commune", "vn", most, 1 << 39)
    pole.order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim))
    text = RELAY.replace("start", f'message_class = "{kind.name.lower()}"\nstart')
    pole.order(COMMUNE, Kind.CALENDAR, text.encode())
    pole.order(school, Kind.SESSION, msgspec.json.encode(Session(8, "voice-of-lang-son")))
    sound = pole.run(6, tone(440, 6), 8)[int(2.5 * RATE_HZ) : 4 * RATE_HZ]
    assert loudest_hz(sound) == pytest.approx(440 if most >= kind else 700, abs=3)


def test_a_stream_that_begins_to_speak_under_a_mute_is_silent():
    pole = Pole({})
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(8)))
    pole.order(COMMUNE, Kind.MUTE, b"")
    assert not pole.run(2, tone(440, 2), 8).any()


def test_when_the_stream_to_relay_is_not_there_the_stored_part_stands_in():
    pole = Pole({NEWS: tone(700, 2)})
    pole.order(COMMUNE, Kind.CALENDAR, RELAY.encode())
    sound = pole.run(6)
    assert loudest_hz(sound[int(2.5 * RATE_HZ) : 4 * RATE_HZ]) == pytest.approx(700, abs=3)
    (radio,) = pole.proofs()
    assert radio["outcome"] == "played"
    assert radio["failed"] == ["no key that may order the item has announced the stream"]


def test_what_the_plan_silences_is_not_proven_as_played():
    pole = Pole({NEWS: tone(440, 8)})
    pole.order(COMMUNE, Kind.VOLUME, b"volume = 0")
    pole.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
    assert not pole.run(14).any()
    (news,) = pole.proofs()
    assert (news["outcome"], news["reason"]) == ("refused", "the plan says volume 0")


def test_a_warning_sounds_again_after_each_of_its_pauses():
    pole = Pole({SIREN: tone(1000, 2)}, interval_s=5)
    pole.order(COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1), URGENT)
    sound = pole.run(22)
    loud = np.abs(sound).reshape(-1, PERIOD).max(axis=1) > 0.01
    begun = np.flatnonzero(np.diff(loud.astype(int), prepend=0) == 1) / 100
    assert len(begun) == 3, f"heard from {begun} s on"
    assert np.allclose(np.diff(begun), 7.0, atol=0.3)


def test_a_warning_that_waits_for_its_amplifier_is_heard_whole():
    phrase = PhraseConfig(siren=SIREN, siren_s=2)
    once = AlertConfig(phrases={"any": phrase}, repeat={"normal": 1, "priority": 1, "urgent": 1})
    pole = Pole({SIREN: tone(1000, 2)}, mute_release_s=0.5, alert=once)
    pole.order(COMMUNE, Kind.SHORT_ALERT, encode_short("alert", 1), URGENT)
    loud = np.abs(pole.run(5)).reshape(-1, PERIOD).max(axis=1) > 0.01
    assert np.sum(loud) / 100 == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("comes", [True, False])
def test_fetched_words_are_spoken_after_the_siren_or_the_stored_phrase_when_they_do_not_come(comes):
    phrase = PhraseConfig(siren=SIREN, siren_s=2, text={"vi": NEWS})
    once = {"normal": 1, "priority": 1, "urgent": 1}
    library: dict[str, tuple[bytes, ...]] = {SIREN: tone(900, 2), NEWS: tone(440, 2)}
    pole = Pole(
        library,
        alert=AlertConfig(phrases={"any": phrase}, repeat=once),
        site=SiteConfig(geocodes={"GSO": "06637"}),
    )
    day = datetime.fromtimestamp(START_S, UTC).date().isoformat()
    text = FLOOD.replace("2025-10-07", day).replace("+07:00", "-00:00").replace("T02", "T22")
    text = text.replace("T08", "T23")
    pole.order(COMMUNE, Kind.CAP, text.encode(), URGENT)
    pole.run(1)
    wanted, *_ = [event for event in pole.events if isinstance(event, FetchFile)]
    assert wanted.url == "https://pctt.example/001.ogg"
    assert wanted.name == "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"
    if comes:
        library[wanted.name] = tone(1300, 2)
    sound = pole.run(3.5)
    heard_hz = loudest_hz(sound[int(1.4 * RATE_HZ) : int(2.6 * RATE_HZ)])
    assert heard_hz == pytest.approx(1300 if comes else 440, abs=3)


def test_a_signed_session_that_is_to_be_joined_is_asked_for_until_it_ends():
    pole = Pole({})
    node = JoinedSpeaker(pole.node, "coc-1", secret=b"s" * 32)

    def asked() -> list[tuple[bytes, tuple[str, int]]]:
        node.handle_deadline(pole.now_ns)
        events = []
        while (event := node.next_event()) is not None:
            if isinstance(event, SendDatagram):
                events.append((event.data, event.destination))
        return events

    assert asked() == []
    session = Session(0x1A2B, join="203.0.113.1:5004", join_key=b"k" * 32)
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(session))
    ((hello, to),) = asked()
    assert to == ("203.0.113.1", 5004)
    packet = join_packet.parse(hello, b"k" * 32)
    assert packet is not None and packet.step is join_packet.Step.HELLO
    assert packet.ssrc == 0x1A2B and packet.node == join_packet.node_of("coc-1")

    challenge = join_packet.JoinPacket(
        join_packet.Step.CHALLENGE, 0x1A2B, packet.node, packet.nonce, b"c" * 16
    )
    node.receive_datagram(join_packet.build(challenge, b"k" * 32), to, pole.now_ns)
    ((join, _),) = asked()
    assert join_packet.parse(join, b"k" * 32).cookie == b"c" * 16
    pole.order(COMMUNE, Kind.SESSION_END, msgspec.json.encode(Session(0x1A2B)))
    ((leaves, _),) = asked()
    assert join_packet.parse(leaves, b"k" * 32).lease_s == 0
    pole.now_ns += 100 * NS_PER_S
    assert asked() == []


@pytest.mark.parametrize(
    "session",
    [
        Session(7, join="203.0.113.1:5004"),
        Session(7, join="203.0.113.1", join_key=b"k" * 32),
        Session(7, join="203.0.113.1:99999", join_key=b"k" * 32),
        Session(7, join="::1:5004", join_key=b"k" * 32),
        Session(7, join="a b:5004", join_key=b"k" * 32),
        Session(7, join="x" * 300 + ":5004", join_key=b"k" * 32),
        Session(7, join="203.0.113.1:5004", join_key=b"k"),
        Session(7, join_key=b"k" * 32),
    ],
)
def test_a_session_that_nobody_could_join_is_refused_whole(session):
    pole = Pole({})
    before = int(pole.node.counts[Count.DROPPED_MESSAGE])
    pole.order(COMMUNE, Kind.SESSION, msgspec.json.encode(session))
    assert pole.node.stations == ()
    assert pole.node.counts[Count.DROPPED_MESSAGE] == before + 1
