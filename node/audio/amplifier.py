"""An amplifier that is mute while nothing sounds, and takes a while to come back.

```
 something comes ─► un-muted ├─ release: nothing begins ─┤ open … last sound ├─ rest ─┤ muted
 (packet, order)       now                               └ what waited begins, whole
```
What comes un-mutes it when it comes, not when it is to sound: the playout delay then covers the
release, or most of it.
"""

from typing import Final

from node.config import AmplifierConfig
from node.events import AmplifierSwitched
from node.units import NS_PER_S

FORESEEN_NS: Final = 5 * NS_PER_S
"""What comes sounds so much later at the latest: the longest playout delay."""


class Amplifier:
    """Un-mute and mute the amplifier, and know whether it lets sound through.

    Parameters
    ----------
    config : AmplifierConfig
        Table `[amplifier]`.
    """

    def __init__(self, config: AmplifierConfig) -> None:
        self._release_ns = round(config.mute_release_s * NS_PER_S)
        self._rest_ns = round(config.rest_s * NS_PER_S)
        self._opens_ns: int | None = None
        """When it lets sound through; None while it is mute."""
        self._mute_ns = 0
        """When it is muted, unless something sounds or comes."""
        self._is_wanted = False

    def wake(self, now_ns: int) -> AmplifierSwitched | None:
        """Un-mute it: something has come that will sound. Return what to tell, once."""
        self._mute_ns = max(self._mute_ns, now_ns + FORESEEN_NS + self._rest_ns)
        if self._opens_ns is not None:
            return None
        self._is_wanted = False
        self._opens_ns = now_ns + self._release_ns
        return AmplifierSwitched(True, now_ns)

    def keeps_back(self, presentation_ns: int) -> bool:
        """Return whether what leaves the converter then would not leave the horn."""
        return self._opens_ns is None or presentation_ns < self._opens_ns

    def want(self) -> None:
        """Note that something would sound now: it is un-muted at the next deadline, if it is not.

        For the audio thread, which tells nobody.
        """
        self._is_wanted = self._opens_ns is None

    def note_sound(self, until_ns: int) -> None:
        """Note that something sounds until then."""
        self._mute_ns = max(self._mute_ns, until_ns + self._rest_ns)

    def handle_deadline(self, now_ns: int) -> AmplifierSwitched | None:
        """Do what is due; return what to tell."""
        if self._is_wanted:
            return self.wake(now_ns)
        if self._opens_ns is None or now_ns < self._mute_ns:
            return None
        self._opens_ns = None
        return AmplifierSwitched(False, now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None."""
        if self._is_wanted:
            return 0
        return None if self._opens_ns is None else self._mute_ns

    @property
    def is_mute(self) -> bool:
        """Whether it lets nothing through, and is not about to."""
        return self._opens_ns is None
