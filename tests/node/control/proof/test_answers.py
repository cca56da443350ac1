"""What a node signs can be held against it: its answers, and the head of its chain of proof."""

import msgspec

from node.control.proof.answers import ProofHead
from node.control.proof.proof import lines_of, verify_chain
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.signature import verified
from node.control.warning.short_alert import encode_short
from node.events import Publish
from tests.node.control.test_controller import CALENDAR, COMMUNE, NODE, PROVINCE, URGENT, Village


def heads(village):
    found = []
    for event in village.events:
        if isinstance(event, Publish) and event.topic == "proof-head":
            message = open_envelope(event.payload)
            assert isinstance(message, Message) and message.kind is Kind.PROOF_HEAD
            assert verified(NODE.public_key, message.signature, message.signed)
            found.append(msgspec.json.decode(message.content, type=ProofHead))
    return found


def test_each_record_is_followed_by_a_signed_head_that_shows_a_cut_chain():
    village = Village("2025-12-07T05:29:00")
    village.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
    village.until("2025-12-07T05:50:00")
    village.order(PROVINCE, Kind.SHORT_ALERT, encode_short("alert", 1), message_class=URGENT)
    village.until("2025-12-07T06:59:00")
    lines = lines_of(village.disk)
    told = heads(village)
    assert [head.number for head in told] == [1, 2] and len(lines) == 2
    assert verify_chain(lines) is None
    village.boot()
    assert village.node.status(village.now_ns)["proof_head"] == told[-1].head
    cut = verify_chain(lines[:1])
    assert cut is None and told[-1].number == 2  # only the head shows that one is missing


def test_a_node_does_not_obey_the_answers_of_another():
    village = Village("2025-12-07T05:29:00")
    for kind in (Kind.ACKNOWLEDGEMENT, Kind.PROOF_HEAD):
        assert village.order(PROVINCE, kind) == "the answer of a node is no order"
