"""What is kept of a node of tier T3: who it is, whom it hears, and what it says to the station."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.asked import Asking
from node.clock.exchange.bounds import Fitting
from node.clock.media_map import SCRATCH, Reported
from node.kernel.record import Record, Records, nested, number, whole
from node.source.state import Source
from sim.gateway.crystal import Minutes
from sim.sender.repair.retransmitter import HISTORY_PACKETS

ANSWERS_MAX: Final = 1024
"""On their way to one node at once: 25 s of questions, or what is sent again in 5 s at the most."""

QUESTIONS: Final = 512
"""Draws for questions that are made at once."""

REQUESTS: Final = 64
"""Draws for requests for lost packets that are made at once, as by `Conversation`."""

NOT_AGAIN: Final = -1


class Setup(Record):
    """What a node and its station are; it does not change."""

    lead_ns: int = whole("ns", "From asking for a period to its presentation.")
    hold_ns: int = whole("ns", "A source keeps the horn for so long after it sounded.")
    attack: float = number("", "Factor per sample of a gain that falls.")
    release: float = number("", "Factor per sample of a gain that rises.")
    fall_samples: int = whole("samples", "It is there for so long once it is to be silent.")
    period_samples: int = whole("samples", "Of the sound card.")
    adaptive: int = whole("", "1: adaptive playout.")
    packet_samples: int = whole("samples", "Of each packet.")
    first_sequence: int = whole("", "RTP sequence number of packet 0.")
    first_timestamp: int = whole("samples", "RTP timestamp of packet 0.")
    speaks: int = whole("", "1: the station answers.")
    may_ask: int = whole("", "1: it may be asked for what is lost, and the node does.")
    question_bytes: int = whole("bytes", "Of a question for the time.")
    answer_bytes: int = whole("bytes", "Of its answer.")
    level_max: int = whole("samples", "What is held once the playout delay is known.")
    closely: int = whole("", "1: looks at each packet as if it were none of the usual: to compare.")


class Listener(Record):
    """Where a node is between two periods, beside its source."""

    phase: int = whole("", "NOBODY, ONE packet that waits for a second, or a SOURCE.")
    waiting: int = whole("", "Number of that one packet.")
    waiting_ns: int = whole("ns", "When it came.")
    strays: int = whole("", "Packets in a row that did not follow the one before.")
    strays_ns: int = whole("ns", "When the first of them came.")
    fresh: int = whole("", "1: the source has been made and has had no packet.")
    last_arrival_ns: int = whole("ns", "When the source's newest packet came.")
    resumed_ns: int = whole("ns", "When the first one since a silence came.")
    sounding: int = whole("", "1: it has the horn, or fades.")
    alone: int = whole("", "1: at full level.")
    confirmed_ns: int = whole("ns", "Until when it need not ask for the horn again.")
    live_until_ns: int = whole("ns", "Until when it has the horn; -1: it gave it back.")
    gain: float = number("", "Linear, of its sound.")
    fallen_samples: int = whole("samples", "For so long it was to be silent.")
    packet: int = whole("", "The next arrival of the chunk.")
    come: int = whole("", "Arrivals of the chunk.")
    period: int = whole("", "The next period of the chunk.")
    until: int = whole("", "The period of the chunk before which it goes off.")
    periods: int = whole("", "Periods of the chunk.")
    packets: int = whole("", "Packets of sources so far.")
    on_probation: int = whole("", "First packets that no second one followed.")
    rows: int = whole("", "Rows of the journal that are filled.")
    setup: Records[Setup] = nested(Setup, "What it is.", (1,))


class Answer(Record):
    """What is on its way from the station to a node."""

    at_ns: int = whole("ns", "When it comes, on the node's clock.")
    again: int = whole("", "Number of the packet that is sent again; NOT_AGAIN: it tells the time.")
    left_ns: int = whole("ns", "When it left, true time.")
    asked_ns: int = whole("ns", "When the node asked, as the answer names it.")


class Talk(Record):
    """What a node knows by asking, of the one source that it hears, and what is to come."""

    clock: Records[Minutes] = nested(Minutes, "Its monotonic clock.", (1,))
    minute: int = whole("", "Where in that the last question was.")
    waiting: int = whole("", "Answers on their way.")
    answers: Records[Answer] = nested(
        Answer, "They, in the order in which they come.", (ANSWERS_MAX,)
    )
    told: int = whole("", "Answers that told the time, so far.")
    again: int = whole("", "Packets that came again, so far.")
    advance_bytes: int = whole("bytes", "What it may send before anything came.")
    advance_ns: int = whole("ns", "When that was so.")
    credit_bytes: int = whole("bytes", "What came from the source, and was not sent there.")
    asks: int = whole("", "1: the station said that it may be asked for what is lost.")
    heard_ns: int = whole("ns", "When the last report came.")
    steps_seen: int = whole("", "Steps of the sender's clock.")
    restarts_seen: int = whole("", "New lines of its reports.")
    unsettled_until_ns: int = whole("ns", "After a step no map is believed before.")
    asking: Records[Asking] = nested(Asking, "The exchange.", (1,))
    reported: Records[Reported] = nested(Reported, "The reports.", (1,))
    scratch: NDArray[np.float64] = number("", "Room.", (SCRATCH,))
    fitting: Records[Fitting] = nested(Fitting, "Likewise.", (1,))


class Station(Record):
    """The station's side, for one node."""

    again: int = whole("", "1: it sends again what a node asks for.")
    way_ns: int = whole("ns", "What a request takes at the least.")
    begun_ns: int = whole("ns", "When its first packet left.")
    first_sequence: int = whole("", "RTP sequence number of packet 0.")
    spent_ns: int = whole("ns", "Its allowance of answers, as one time.")
    first: int = whole("", "The first packet of which it is known how it fared.")
    known: int = whole("", "How many packets that are.")
    remembered: int = whole("", "Packets before this one can be asked for, if not too old.")
    rate_bit_s: int = whole("", "Stream and repair together; 0: repair gets a share.")
    earned_ns: int = whole("ns", "When the last packet was earned by; -1: none was.")
    repair_bytes: int = whole("bytes", "Requests and what was sent again, with headers.")
    share: float = number("", "Of the stream's bytes that repair may cost.")
    left_bytes: float = number("bytes", "On the account of repair.")
    numbers: NDArray[np.int64] = whole("", "Packets that were asked for.", (HISTORY_PACKETS,))
    times: NDArray[np.int64] = whole("", "How often each was sent again.", (HISTORY_PACKETS,))
    times_ns: NDArray[np.int64] = whole("ns", "When it was last.", (HISTORY_PACKETS,))
    question: int = whole("", "Draws for questions that are used.")
    questions_ns: NDArray[np.int64] = whole(
        "ns", "What comes on top of the way of each question.", (QUESTIONS,)
    )
    request: int = whole("", "Draws for requests that are used.")
    requests_ns: NDArray[np.int64] = whole(
        "ns", "What comes on top of the way of each request.", (REQUESTS,)
    )
    lost: NDArray[np.int64] = whole("", "1: that request is lost.", (REQUESTS,))


class Hearing(Record):
    """A node that listens: what it is, the source that it hears, if it does, and what is said."""

    listener: Records[Listener] = nested(Listener, "Itself.", (1,))
    source: Records[Source] = nested(Source, "What it hears; not looked at without one.", (1,))
    talk: Records[Talk] = nested(Talk, "What it knows by asking.", (1,))
    station: Records[Station] = nested(Station, "Who answers.", (1,))
