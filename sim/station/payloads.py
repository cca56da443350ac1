"""The Opus packets of a sound: encoded once and kept, for libopus does not encode alike everywhere.

The same source, the same settings and the same libopus give other packets on another kind of
processor, and with them other sound at every node. So packets are an input of a run, like the
scenario: what ships is encoded and lies beside the speech, a sound of one's own is encoded once
and kept by its hash, an Ogg Opus file is sent as it is. The hash of the packets is part of the
scenario's hash.

```
 sound file ── Ogg Opus? ──► its packets
     │ no
     └─► NAME.KEY.opus beside it, or in the cache? ──► its packets
             │ no
             └─► libopus ──► the cache
```
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from node.config import ConfigError
from node.opus.packet import packet_samples
from node.units import RATE_HZ, SAMPLES_PER_MS
from sim.sender.sound.copy_encoder import CopyEncoder
from sim.station.programme import Programme, encode, normalised, read_sound
from sim.village.sender_config import SenderConfig

CACHE: Final = "LOALANG_PAYLOADS"
"""Environment variable: the folder of what was encoded here, else `~/.cache/loalang/payloads`."""

_KEY_DIGITS: Final = 16
_FORMAT: Final = "1"
"""Part of every key: another number and all is encoded anew."""

_FIELDS: Final = (
    "packet_ms",
    "bitrate_kbit_s",
    "fec",
    "expected_loss_pct",
    "dtx",
    "application",
    "target_lufs",
)
"""What of a `SenderConfig` the packets depend on."""

_QUIET: Final = {10: b"\x40", 20: b"\x48", 40: b"\x50", 60: b"\x58"}
"""Stands in a file for a copy that is not needed: SILK wide band, nothing in it (RFC 6716, 3.1)."""


def load(path: Path, config: SenderConfig) -> Programme:
    """Return the packets of the sound file `path`, the same on every machine where they are kept.

    Raises
    ------
    ConfigError
        When the file cannot be read, is shorter than a packet, or is Ogg Opus with packets that
        are not of `config.packet_ms`; or when a kept file is damaged.
    """
    key = _key(path, config)
    kept = path if _is_ogg_opus(path) else _find(path, f"{path.stem}.{key}.opus")
    if kept is None:
        programme = encode(path, replace(config, copies="off"))
        _keep(path, key, programme)
    else:
        packets, look_ahead = _read(kept, config.packet_ms)
        programme = Programme(packets, config.packet_ms, look_ahead)
    if not config.copies_possible:
        return programme
    kept = _find(path, f"{path.stem}.{key}.copies.opus")
    if kept is None:
        programme = replace(programme, lows=_copies_of(path, config, len(programme.payloads)))
        _keep(path, key, programme)
        return programme
    quiet = _QUIET[config.packet_ms]
    lows = (b"" if one == quiet else one for one in _read(kept, config.packet_ms)[0])
    return replace(programme, lows=tuple(lows))


def write_beside(path: Path, config: SenderConfig) -> list[Path]:
    """Write the packets of `path` beside it, for whoever gets the file with the scenario.

    Returns
    -------
    list of Path
        What was written; nothing when the file is Ogg Opus and needs no copies.

    Raises
    ------
    ConfigError
        As `load`.
    OSError
        When the folder cannot be written to.
    """
    programme = load(path, config)
    return list(_write(path.parent, path, _key(path, config), programme))


def packets_hash(programme: Programme) -> str:
    """Return a SHA-256 over the packets and their copies, their lengths included."""
    digest = hashlib.sha256()
    for one in (*programme.payloads, b"copies", *programme.lows):
        digest.update(len(one).to_bytes(4, "big") + one)
    return digest.hexdigest()


def _keep(path: Path, key: str, programme: Programme) -> None:
    """Put what was encoded into the cache; where it takes no file it is encoded each time."""
    folder = _cache()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, path, key, programme)


def _copies_of(path: Path, config: SenderConfig, count: int) -> tuple[bytes, ...]:
    """Return a low-rate copy for each of `count` packets of a sound file."""
    sound = read_sound(path)
    if config.target_lufs is not None and not _is_ogg_opus(path):
        sound = normalised(sound, config.target_lufs)
    samples = config.packet_ms * SAMPLES_PER_MS
    padded = np.zeros(count * samples)
    padded[: min(sound.size, padded.size)] = sound[: padded.size]
    copies = CopyEncoder()
    return tuple(copies.encode(one) for one in padded.reshape(count, samples))


def _key(path: Path, config: SenderConfig) -> str:
    try:
        source = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as fault:
        raise ConfigError(f"{path}: cannot be read ({fault.strerror})") from fault
    settings = asdict(config)
    text = repr([_FORMAT, source, *(settings[name] for name in _FIELDS)])
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def _cache() -> Path:
    chosen = os.environ.get(CACHE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "loalang" / "payloads"


def _find(path: Path, name: str) -> Path | None:
    return next((one / name for one in (path.parent, _cache()) if (one / name).is_file()), None)


def _is_ogg_opus(path: Path) -> bool:
    """Return whether the first page of a file holds the header of Opus (RFC 7845, section 5.1)."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as fault:
        raise ConfigError(f"{path}: cannot be read ({fault.strerror})") from fault
    return start.startswith(b"OggS") and b"OpusHead" in start


def _read(path: Path, packet_ms: int) -> tuple[tuple[bytes, ...], int]:
    """Return the packets of an Ogg Opus file and the samples to be left out at its beginning."""
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = container.streams.audio[0]
            head = bytes(stream.codec_context.extradata or b"")
            payloads = tuple(bytes(one) for one in container.demux(stream) if one.size)
    except (av.FFmpegError, IndexError, OSError) as fault:
        raise ConfigError(f"{path}: not an Ogg Opus file that can be read ({fault})") from fault
    if not payloads or len(head) < 19 or head[18] != 0:
        raise ConfigError(f"{path}: not Ogg Opus in mono or stereo (RFC 7845, mapping family 0)")
    wanted = packet_ms * SAMPLES_PER_MS
    for number, one in enumerate(payloads):
        samples = int(packet_samples(np.frombuffer(bytearray(one), np.uint8), 0, len(one)))
        if samples != wanted:
            has = f"{samples / SAMPLES_PER_MS:g} ms" if samples > 0 else "no Opus frame"
            raise ConfigError(
                f"{path}: packet {number} holds {has}, sender.packet_ms = {packet_ms}: "
                "set it to what the file has, or name a file that is not Opus"
            )
    return payloads, int.from_bytes(head[10:12], "little")


def _write(folder: Path, path: Path, key: str, programme: Programme) -> list[Path]:
    """Write the packets, and their copies where there are any; each file is put in place whole."""
    written = []
    if not _is_ogg_opus(path):
        written.append(folder / f"{path.stem}.{key}.opus")
        _write_ogg(written[-1], programme.payloads, programme)
    if programme.lows:
        written.append(folder / f"{path.stem}.{key}.copies.opus")
        quiet = _QUIET[programme.packet_ms]
        _write_ogg(written[-1], (one or quiet for one in programme.lows), programme)
    return written


def _write_ogg(path: Path, payloads: Iterable[bytes], programme: Programme) -> None:
    """Write an Ogg Opus file, equal for equal packets."""
    samples = programme.packet_ms * SAMPLES_PER_MS
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    options = {"fflags": "+bitexact"}
    with av.open(str(scratch), "w", format="ogg", options=options) as container:
        stream: Any = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        stream.codec_context.open()  # writes the header, with the encoder's look-ahead
        for number, one in enumerate(payloads):
            packet = av.Packet(one)
            packet.stream = stream
            packet.time_base = Fraction(1, RATE_HZ)
            packet.pts = packet.dts = number * samples - programme.look_ahead_samples
            packet.duration = samples
            container.mux(packet)
    scratch.replace(path)
