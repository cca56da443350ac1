"""Whether a node on another processor plays the same sound: packets made here, a hash made there.

    python .ci/played.py packets FILE     Opus of all three kinds, one and two channels
    python .ci/played.py sound FILE       decoded, some of it lost; and through a node with late,
                                          doubled and lost packets in both ways of playout

libopus encodes differently on each processor, so packets are made once. The last word is the hash.
"""

import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np

S, MS, PERIOD = 1_000_000_000, 1_000_000, 480
SENDER = ("10.0.0.1", 5004)
SECONDS = 4
VOIP, AUDIO, LOW_DELAY = 2048, 2049, 2051


def packets(path: Path) -> None:
    """Write packets of SILK, hybrid and CELT, with in-band FEC where there is any."""
    import opuslib_next

    t = np.arange(48_000 * SECONDS) / 48_000
    rng = np.random.default_rng(7)
    voice = (np.sin(2 * np.pi * (150 + 40 * np.sin(3 * t)) * t) * 9000).astype("<i2")
    both = np.repeat(voice // 2 + (rng.standard_normal(len(t)) * 2000).astype("<i2"), 2)
    streams = []
    for channels, sound in ((1, voice), (2, both)):
        for kind, bitrate in ((VOIP, 12_000), (VOIP, 28_000), (AUDIO, 64_000), (LOW_DELAY, 96_000)):
            encoder = opuslib_next.Encoder(48_000, channels, kind)
            encoder.bitrate = bitrate
            encoder.inband_fec, encoder.packet_loss_perc = 1, 10
            step = 960 * channels
            coded = [
                encoder.encode(sound[i : i + step].tobytes(), 960)
                for i in range(0, len(sound) - step + 1, step)
            ]
            streams.append({"channels": channels, "packets": [one.hex() for one in coded]})
    path.write_text(json.dumps(streams))


def sound(path: Path) -> None:
    """Print what was played, how long that took, and the hash of every sample of it."""
    from node.kernel import shipped

    digest, begin = hashlib.sha256(), time.monotonic()
    streams = [
        (one["channels"], [bytes.fromhex(packet) for packet in one["packets"]])
        for one in json.loads(path.read_text())
    ]
    for channels, coded in streams:
        decode(channels, coded, digest)
    for mode in ("synchronised", "adaptive"):
        for _, coded in streams[:4]:
            play(mode, coded, digest)
    kernels = "the library's" if shipped.library() else f"numba's ({shipped.misfit()})"
    print(f"kernels: {kernels}, {time.monotonic() - begin:.1f} s, {digest.hexdigest()}")


def decode(channels: int, coded: list[bytes], digest: "hashlib._Hash") -> None:
    """Decode a stream of which every tenth packet or so is lost."""
    from node.opus.decoder import OpusDecoder

    rng = np.random.default_rng(8)
    decoder, out = OpusDecoder(48_000, channels), np.zeros((960, channels), np.float32)
    for i, packet in enumerate(coded):
        lost = rng.random() < 0.1
        if lost and i + 1 < len(coded) and rng.random() < 0.5:
            decoder.decode_fec(coded[i + 1], out)
        elif lost:
            decoder.conceal(960, out)
        else:
            decoder.decode(packet, out)
        digest.update(out.tobytes())
        digest.update(decoder.final_range.to_bytes(8, "little"))


def play(mode: str, coded: list[bytes], digest: "hashlib._Hash") -> None:
    """Send a stream through a node that hears it 0 to 60 ms late, a twentieth never or twice."""
    from node.config import JitterConfig, NodeConfig
    from node.opus.decoder import OpusDecoder
    from node.rtp import packet
    from node.stack import SpeakerNode

    rng = np.random.default_rng(9)
    config = NodeConfig(name="node", jitter=JitterConfig(mode=mode, playout_delay_ms=200))
    node = SpeakerNode(config, decoder_factory=OpusDecoder)
    waiting = []
    for i, payload in enumerate(coded):
        data = packet.build(
            payload, sequence=i, timestamp=960 * i, ssrc=7, payload_type=96, marker=i == 0
        )
        copies = int(rng.choice(3, p=[0.05, 0.9, 0.05]))
        waiting += [(3 * S + i * 20 * MS + int(rng.integers(60 * MS)), data) for _ in range(copies)]
    waiting.sort()
    out = np.zeros((PERIOD, 1), np.float32)
    for now_ns in range(3 * S, (4 + SECONDS) * S, 10 * MS):
        while waiting and waiting[0][0] <= now_ns:
            node.receive_datagram(waiting[0][1], SENDER, waiting.pop(0)[0])
        if (deadline_ns := node.next_deadline_ns()) is not None and deadline_ns <= now_ns:
            node.handle_deadline(now_ns)
        node.render(out, now_ns)
        digest.update(out.tobytes())


if __name__ == "__main__":
    {"packets": packets, "sound": sound}[sys.argv[1]](Path(sys.argv[2]))
