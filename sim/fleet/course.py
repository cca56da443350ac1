"""What of a node changes in a plain packet or period, in registers while it is gone on with."""

from node.audio.resampler import Resampling
from node.clock.servo import Servo
from node.clock.state import Line
from node.jitter.state import Jitter, Packet
from node.kernel import inlined
from node.kernel.record import Record, Records, nested, number, whole
from node.source.state import Playout, Source
from sim.fleet.on_stack import copy, room_of
from sim.fleet.state import Listener


class Course(Record):
    """What of a node a plain packet or period changes, and looks at."""

    jitter: Records[Jitter] = nested(Jitter, "The jitter buffer.", (1,))
    line: Records[Line] = nested(Line, "The time base.", (1,))
    playout: Records[Playout] = nested(Playout, "Where it is.", (1,))
    resampler: Records[Resampling] = nested(Resampling, "Of the resampler.", (1,))
    servo: Records[Servo] = nested(Servo, "What steers the resampler.", (1,))
    listener: Records[Listener] = nested(Listener, "Itself.", (1,))
    packet: Records[Packet] = nested(Packet, "The one that comes.", (1,))
    ssrc: int = whole("", "Of the source.")
    wanted_q16: int = whole("samples / 65536", "Where the sound should be as a period begins.")
    ahead_ns: float = number("ns", "Of the time base, before that was asked.")
    rate_ppm: float = number("ppm", "Likewise.")
    last_ns: int = whole("ns", "Likewise.")
    number: int = whole("", "Of the newest packet.")
    place: int = whole("", "Of that in the sheet.")
    held_sequence: int = whole("", "Packets before it, from the next one to play on, are held...")
    held_media: int = whole("samples", "... up to this media time.")


new_course = room_of(Course)


@inlined
def take_up(own: Course, source: Source, listener: Listener, coming: int, packets: int) -> None:
    """Let all that changes be in registers; `coming` is the next packet's number.

    packets  of the sound
    """
    copy(source.jitter[0], own.jitter[0])
    copy(source.line[0], own.line[0])
    copy(source.playout[0], own.playout[0])
    copy(source.resampler[0], own.resampler[0])
    copy(source.servo[0], own.servo[0])
    copy(source.packet[0], own.packet[0])
    copy(listener, own.listener[0])
    own.ssrc = source.ssrc
    own.number = coming - 1
    own.place = (coming - 1) % packets
    own.held_sequence = source.jitter[0].next_sequence
    own.held_media = source.jitter[0].next_media


@inlined
def lay_down(own: Course, source: Source, listener: Listener) -> None:
    """Put it back."""
    copy(own.jitter[0], source.jitter[0])
    copy(own.line[0], source.line[0])
    copy(own.playout[0], source.playout[0])
    copy(own.resampler[0], source.resampler[0])
    copy(own.servo[0], source.servo[0])
    copy(own.packet[0], source.packet[0])
    copy(own.listener[0], listener)
