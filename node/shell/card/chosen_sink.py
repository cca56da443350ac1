"""The sink that `--sink` or the configuration names."""

from dataclasses import replace
from pathlib import Path

from node.config import NodeConfig
from node.shell.card.sinks import PacedSink, Sink
from node.shell.config import SinkConfig
from node.shell.faults import EXIT_INPUT, ShellError
from node.units import SAMPLES_PER_MS


def chosen_sink(node: NodeConfig, config: SinkConfig, wanted: str | None) -> Sink:
    """Return the sink of `--sink`, or else of the configuration."""
    kind, _, name = (wanted or config.kind).partition(":")
    period_samples = config.period_ms * SAMPLES_PER_MS
    channels = node.audio.channels
    if kind == "null" and not name:
        return PacedSink(channels=channels, period_samples=period_samples)
    if kind == "wav" and name:
        return PacedSink(channels=channels, period_samples=period_samples, wav=Path(name))
    if kind == "card":
        from node.shell.card.card_keeper import CardKeeper
        from node.shell.card.sound_card import SoundCard

        chosen = replace(config, device=name) if name else config
        return CardKeeper(lambda again: SoundCard(chosen, channels=channels, again=again))
    raise ShellError(
        f"--sink {wanted}: must be card, card:NAME, wav:FILE or null", exit_status=EXIT_INPUT
    )
