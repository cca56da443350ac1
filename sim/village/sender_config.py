"""The programme of a scenario and how it is sent (table `[sender]`)."""

from dataclasses import dataclass
from typing import Literal

from node.config import check


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConfig:
    """The programme and how it is sent (table `[sender]`)."""

    file: str = "announcement_vi.flac"
    """Sound file: beside the scenario, absolute, or one of `sim/speech`. Played in a loop."""

    packet_ms: Literal[10, 20, 40, 60] = 20
    bitrate_kbit_s: int = 24
    fec: bool = True
    """In-band FEC (RFC 6716, section 2.1.7)."""

    expected_loss_pct: int = 10
    """What the encoder is told to expect; decides how much it spends on FEC."""

    dtx: bool = False
    """Silence is not sent. Off: every gap at a node is then a dropout."""

    application: Literal["voip", "audio"] = "voip"

    reports: bool = True
    """The station answers the nodes' requests for the time (RTCP), so that they play together;
    without, each goes by its fastest packets."""

    delivery: Literal["unicast", "multicast"] = "unicast"
    """unicast: a stream for each node, which may ask for what is lost. multicast: one for all."""

    retransmission: bool = True
    """Unicast with `reports`: what is lost is sent again to who asks (RFC 4585, RFC 4588)."""

    copies: Literal["auto", "off"] = "auto"
    """Multicast with `reports`: copies of packets (RFC 2198) while the nodes' losses ask for it."""

    data_budget_kbit_s: int | None = None
    """Stream and repair per node, headers included. None: repair gets 15 % of the stream."""

    target_lufs: float | None = None
    """The file is brought to this loudness before it is encoded (ITU-R BS.1770-4, gated), as far
    as its true peaks allow. None: as it is."""

    pacing_max_us: int = 500
    """A packet leaves up to so long after its last sample: timers of an ordinary system."""

    @property
    def copies_possible(self) -> bool:
        """Whether packets may carry copies."""
        return self.reports and self.copies == "auto" and self.delivery == "multicast"

    @property
    def sends_again(self) -> bool:
        """Whether what is lost is sent again to who asks."""
        return self.reports and self.retransmission and self.delivery == "unicast"

    def __post_init__(self) -> None:
        rate, loss, target = self.bitrate_kbit_s, self.expected_loss_pct, self.target_lufs
        budget = self.data_budget_kbit_s
        check(
            "sender",
            {
                "bitrate_kbit_s": (6 <= rate <= 128, rate, "6 to 128"),
                "expected_loss_pct": (0 <= loss <= 100, loss, "0 to 100"),
                "data_budget_kbit_s": (
                    budget is None or 8 <= budget <= 10_000,
                    budget,
                    "8 to 10000",
                ),
                "target_lufs": (target is None or -50 <= target <= -5, target, "-50 to -5"),
                "pacing_max_us": (
                    0 <= self.pacing_max_us <= 100_000,
                    self.pacing_max_us,
                    "0 to 100000",
                ),
            },
        )
