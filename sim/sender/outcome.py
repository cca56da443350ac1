"""What became of what was sent: whether a destination got the sound, and if not, why not."""

import errno
import os
from dataclasses import dataclass
from typing import Final

from node.units import NS_PER_S

HOPELESS_NS: Final = 3 * NS_PER_S
"""Nothing was taken from the start for so long: it is said at once, not after the programme."""
_LOST_PCT: Final = 10
"""More refused packets than this, and the sound was not delivered."""
_RECENT_NS: Final = 3 * NS_PER_S

_REMEDIES: Final = {
    errno.ENETUNREACH: "is the network up? `ip route get` says which way it takes",
    errno.EHOSTUNREACH: "nobody there answers; is the address right, is it switched on?",
    errno.ENETDOWN: "the interface is down; `ip link` shows it",
    errno.EACCES: "a broadcast address: take a group (239.192.7.1), or one --to per node",
    errno.EPERM: "a firewall on this machine forbids it",
    errno.EMSGSIZE: "too large for the way there: give less --bitrate or --packet-ms",
    errno.EINVAL: "no address for this network; is it of another interface?",
    errno.ECONNREFUSED: "nobody listens on that port; is the node started, is the port right?",
}


def reason(number: int) -> str:
    """Return what an error of the network means, and what to do about it."""
    text = os.strerror(number)
    return f"{text}: {_REMEDIES[number]}" if number in _REMEDIES else text


@dataclass(slots=True)
class Outcome:
    """Of one destination."""

    sound: int = 0
    """Packets of sound for it."""

    refused_sound: int = 0
    """... of which this machine's network took none."""

    refused: int = 0
    """All datagrams that were not taken."""

    taken: int = 0
    """Those that were."""

    error: int = 0
    """Why the last one was not."""

    first_ns: int | None = None
    unheard_ns: int | None = None
    """When word came back last that nobody is there."""

    heard_ns: int | None = None
    """When something came from there last."""

    def note_sent(self, error: int, now_ns: int, *, sound: bool) -> None:
        """Note that a datagram was given to the network, which took it or said `error`."""
        if self.first_ns is None:
            self.first_ns = now_ns
        self.sound += sound
        if error:
            self.refused += 1
            self.refused_sound += sound
            self.error = error
        else:
            self.taken += 1

    def note_unheard(self, error: int, now_ns: int) -> bool:
        """Note that a datagram came back (ICMP); return whether that is news."""
        is_news = self.unheard_ns is None or (
            self.heard_ns is not None and self.heard_ns > self.unheard_ns
        )
        self.unheard_ns = now_ns
        self.error = error
        return is_news

    def is_hopeless(self, now_ns: int) -> bool:
        """Return whether nothing was ever taken, for long enough to say so."""
        return (
            self.first_ns is not None and not self.taken and now_ns - self.first_ns >= HOPELESS_NS
        )

    def fault(self, now_ns: int) -> str | None:
        """Return why the sound was not delivered, as far as this machine can know; else None."""
        if self.refused_sound * 100 > self.sound * _LOST_PCT or (self.refused and not self.taken):
            counted = (
                f"{self.refused_sound} of {self.sound} packets were" if self.sound else "all was"
            )
            return f"{counted} refused by the network: {reason(self.error)}"
        is_late = self.unheard_ns is not None and now_ns - self.unheard_ns <= _RECENT_NS
        if is_late and (self.heard_ns is None or self.heard_ns < (self.unheard_ns or 0)):
            return reason(self.error)
        return None
