"""The daemon with a calendar in its store: the stored programme comes out of the sink."""

import hashlib
import io
import time
import wave
from datetime import UTC, datetime, timedelta

import av
import msgspec
import numpy as np
import pytest

from node.control.controller import Controller
from node.control.precedence import MessageClass
from node.control.settings import ControlConfig
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.events import Persist
from node.shell.cli import main
from node.shell.sounds.library import packets_of, read_sounds
from node.shell.store.store import Store
from node.units import NS_PER_S

ROOT, COMMUNE = (SeedSigner(hashlib.sha256(name).digest()) for name in (b"root", b"commune"))


def ogg_tone(hertz: float, seconds: float, frame_ms: str = "20") -> bytes:
    """An Ogg Opus file by FFmpeg."""
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, options={"frame_duration": frame_ms})
        stream.layout = "mono"
        samples = int(seconds * 48_000)
        sound = 0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / 48_000)
        frame = av.AudioFrame.from_ndarray(
            (sound * 32767).astype(np.int16)[None, :], format="s16", layout="mono"
        )
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def test_a_stored_file_is_taken_apart_into_its_packets():
    data = ogg_tone(440, 2)
    packets = packets_of(data)
    assert packets is not None and 100 <= len(packets) <= 102
    assert packets_of(ogg_tone(440, 1, "60")) is None
    for end in range(0, len(data), 97):
        assert packets_of(data[:end]) is None or data[:end].count(b"OggS") > 2


def test_only_files_that_have_their_hash_are_played(tmp_path, caplog):
    data = ogg_tone(440, 1)
    good = tmp_path / f"{hashlib.sha256(data).hexdigest()}.opus"
    good.write_bytes(data)
    (tmp_path / f"{'0' * 64}.opus").write_bytes(data)
    (tmp_path / "siren.opus").write_bytes(b"OggS")
    as_cap_names_it = "sha1:" + hashlib.sha1(data).hexdigest()
    assert list(read_sounds(tmp_path).by_name) == [good.stem, as_cap_names_it]
    assert caplog.text.count("left out") == 2


def test_a_signed_calendar_in_the_store_sounds_through_the_daemon(tmp_path):
    """The item was due two minutes ago, while the power was off; it plays late, as it says."""
    data = ogg_tone(440, 2)
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / f"{digest}.opus").write_bytes(data)
    keep_orders(tmp_path / "store.db", digest)
    config = tmp_path / "node.toml"
    config.write_text(
        f"""
name = "coc-1"
[opus]
decoder = "libopus"
[receive]
listen = "127.0.0.1:50941"
[store]
path = "{tmp_path}/store.db"
[control]
root_public_key = "{ROOT.public_key.hex()}"
area = "vn/coc-1"
rules = []
clock = "trusted"
media_folder = "{tmp_path}"
"""
    )
    sound = tmp_path / "out.wav"
    arguments = ["run", "--config", str(config), "--sink", f"wav:{sound}", "--duration", "5"]
    assert main(arguments) == 0
    with wave.open(str(sound)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    loud = samples[np.abs(samples) > 0]
    assert len(loud) > 1.5 * 48_000
    spectrum = np.abs(np.fft.rfft(loud[24_000:72_000]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=3)
    store = Store(tmp_path / "store.db")
    record = msgspec.json.decode(store.kept()["proof/000"])["record"]
    store.close()
    assert (record["name"], record["outcome"]) == ("news", "played")


def keep_orders(path, digest: str) -> None:
    """Let a node receive its orders five minutes ago, and lose its power."""
    now_s = int(time.time())
    began_s = now_s - 300
    due = datetime.fromtimestamp(now_s - 120, UTC) + timedelta(hours=7)
    claim = Certificate(
        "commune", COMMUNE.public_key, "commune", "vn", MessageClass.URGENT, 1 << 39
    )
    calendar = (
        f'[[items]]\nname = "news"\nstart = "{due:%H:%M}"\nmissed = "late"\nlate_max_s = 900\n'
        f"parts = [{{ kind = 'file', duration_s = 2, media = {{ vi = '{digest}' }} }}]\n"
    )
    control = ControlConfig(root_public_key=ROOT.public_key.hex(), area="vn/coc-1")
    controller = Controller("coc-1", control, (), {})
    controller.receive_time(began_s * NS_PER_S, 0, synchronised=True)
    orders = (
        (ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim)),
        (COMMUNE, Kind.CALENDAR, calendar.encode()),
    )
    for counter, (by, kind, content) in enumerate(orders, 1):
        message = Message(
            kind=kind,
            key_id=by.key_id,
            counter=counter,
            issued_s=began_s,
            ttl_s=600,
            message_class=MessageClass.NORMAL,
            area="vn",
            content=content,
        )
        controller.receive_message("order", seal(message, by), 0)
    store = Store(path)
    while (event := controller.next_event()) is not None:
        if isinstance(event, Persist):
            store.keep({event.key: event.value})
    store.close()
