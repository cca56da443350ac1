"""As what each stream and stored sound is heard: what the controller calls it, its class, its gain.

```
 session of a stream without a name ─────────────────► its own number ─┐
 item that plays a stored sound ────────► a number of the node's own ──┼─► class, tier, gain
 items that relay NAME ─► who announced NAME, the highest tier, now ───┘
                          and may order the item's class
```
Several items may relay one stream. It is then what the highest of them makes it, and as loud as the
loudest: no item of a lower tier takes anything from that of a higher one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from node.control.controller import Controller
from node.control.events import StartPart
from node.control.precedence import SILENT_DB, MessageClass
from node.counters import made_up_ms
from node.stack import SpeakerNode


@dataclass(frozen=True, slots=True)
class _Heard:
    """What something of the controller is heard as."""

    ssrc: int | None
    """None: nobody announces a stream of that name now."""
    stream: str = ""
    """Name of the stream that it relays."""


class HeardAs:
    """Tell the speaker what each source is; the numbers are those of the controller."""

    def __init__(self, speaker: SpeakerNode, controller: Controller) -> None:
        self._speaker = speaker
        self._controller = controller
        self._heard: dict[int, _Heard] = {}
        self._made_up_ms: dict[int, int] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._heard

    def hear(self, number: int, ssrc: int | None, now_ns: int, *, stream: str = "") -> None:
        """Let `number` be heard as `ssrc`, or as nothing."""
        before = self._heard.get(number)
        self._heard[number] = _Heard(ssrc, stream)
        self._made_up_ms[number] = 0 if ssrc is None else self._made_up_now_ms(ssrc)
        if before is not None and before.ssrc is not None and before.ssrc != ssrc:
            self._leave(before.ssrc, now_ns)
        if ssrc is not None:
            self._set_source(ssrc, now_ns)

    def relay(self, part: StartPart, now_ns: int) -> None:
        """Let an item of the calendar relay a stream; it fails where nobody has announced that."""
        ssrc = self._named(part.media, (part.message_class, part.level))
        if ssrc is None:
            failed = "no key that may order the item has announced the stream"
            self._controller.receive_part_ended(part.source, now_ns, failed=failed)
        else:
            self.hear(part.source, ssrc, now_ns, stream=part.media)

    def follow_names(self, now_ns: int) -> None:
        """Let each item relay who is announced by its stream's name now.

        A sender that begins anew under another number goes on, and who lost the name is not heard.
        """
        for number, one in list(self._heard.items()):
            known = self._controller.source_class(number) if one.stream else None
            if known is not None:
                ssrc = self._named(one.stream, known)
                if ssrc != one.ssrc:
                    self.hear(number, ssrc, now_ns, stream=one.stream)

    def forget(self, number: int, now_ns: int, *, keep: int | None = None) -> None:
        """End `number`, and what it is heard as unless it is `keep` or heard otherwise too."""
        one = self._heard.pop(number, None)
        self._made_up_ms.pop(number, None)
        if one is not None and one.ssrc is not None and one.ssrc != keep:
            self._leave(one.ssrc, now_ns)

    def may_speak(self, ssrc: int) -> bool:
        """Return whether a stream is announced to be heard now, by itself or relayed."""
        if self._controller.source_class(ssrc) is not None:
            return True
        return any(one.ssrc == ssrc for one in self._heard.values())

    def sounding(self) -> tuple[int, ...]:
        """Return what sounds now, the holder of the horn first."""
        return tuple(
            number
            for ssrc in self._speaker.sounding()
            for number in self.numbers_of(ssrc) or (ssrc,)
        )

    def numbers_of(self, ssrc: int) -> tuple[int, ...]:
        """Return what the controller calls `ssrc`, the one that decides what it is first."""
        numbers = [number for number, one in self._heard.items() if one.ssrc == ssrc]
        return tuple(sorted(numbers, key=self._controller.standing, reverse=True))

    def set_gains(self, now_ns: int) -> None:
        """Set class and gain of every source that may speak."""
        for ssrc in {one.ssrc: None for one in self._heard.values()}:
            if ssrc is not None:
                self._set_source(ssrc, now_ns)

    def tell_quiet(self, numbers: Iterable[int]) -> None:
        """Tell the controller until when those sounded that have the horn no more: it is held."""
        for number in numbers:
            heard = self._heard.get(number)
            source = (
                None if heard is None or heard.ssrc is None else self._speaker.source(heard.ssrc)
            )
            if source is not None:
                self._controller.sessions.receive_quiet(number, source.last_sound_ns)

    def _made_up_now_ms(self, ssrc: int) -> int:
        """Return how much of a source was made up so far, or silent where nothing could be."""
        source = self._speaker.source(ssrc)
        return 0 if source is None else made_up_ms(source.origin_samples)

    def tell_made_up(self) -> None:
        """Tell the controller how much of each item was made up since the last time."""
        for number, one in self._heard.items():
            if one.ssrc is None:
                continue
            made_up_ms = self._made_up_now_ms(one.ssrc)
            more_ms = made_up_ms - self._made_up_ms[number]
            if more_ms > 0:
                self._controller.receive_concealed(number, more_ms)
            self._made_up_ms[number] = made_up_ms

    def signs(self, now_ns: int, refused: int, refused_from: str) -> dict[str, object]:
        """Return of the node's status what faults are seen by.

        `refused` datagrams were no announced sender's, the last of them from `refused_from`.
        """
        horn, control = self._speaker.horn, self._controller
        return {
            "playing": None if horn.holder is None else horn.holder.ssrc,
            "playing_class": horn.class_name,
            "counts": {"dropped_unauthenticated": refused},
            "control": {
                "clock_trusted": control.known_time(now_ns)[1],
                "dead_senders": control.sessions.dead(now_ns),
                "refused_from": refused_from,
            },
        }

    def _named(self, stream: str, known: tuple[MessageClass, str]) -> int | None:
        kind, level = known
        return self._controller.sessions.named(stream, self._controller.rank_of(level), kind)

    def _leave(self, ssrc: int, now_ns: int) -> None:
        """End `ssrc`, unless another item relays it: then it is what that one makes it."""
        if self.numbers_of(ssrc):
            self._set_source(ssrc, now_ns)
        else:
            self._speaker.end_source(ssrc, now_ns)

    def _set_source(self, ssrc: int, now_ns: int) -> None:
        numbers = self.numbers_of(ssrc)
        known = self._controller.source_class(numbers[0]) if numbers else None
        if known is not None:
            gains_db = (self._controller.source_gain_db(number, now_ns) for number in numbers)
            gain_db = max(gains_db, default=SILENT_DB)
            self._speaker.set_source(ssrc, *known, gain_db=gain_db)
