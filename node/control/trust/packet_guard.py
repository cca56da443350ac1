"""Whose packets these are, before anything of them is decoded: signed one by one, or SRTP.

```
 RTP or RTCP packet ‖ pass (8) ‖ counter (8) ‖ Ed25519 signature (64)   signed: context ‖ the rest
```
A key of a group does not tell its members apart: a stolen node could speak to the village. So what
many nodes hear is signed by a key that only the sender has, and that the signed session names.
Where each node has a key of its own (unicast), SRTP with AES-128-GCM (RFC 7714) does it with 16
bytes. Counters begin where the session says, so packets of an earlier one are old.

Before a signature is checked there is a budget, for a check is dear and addresses are forged. What
shows the next pass is checked beside it: a flood in the sender's name keeps nothing of it out.
"""

from typing import Final, Protocol

import pylibsrtp

from node.control.trust.passes import NO_PASS, PASS_BYTES, follows
from node.control.trust.rates import ChecksOfHosts
from node.control.trust.signature import SIGNATURE_BYTES, Signer, verified
from node.control.wraps import Rollover, lead
from node.units import NS_PER_S

CONTEXT: Final = b"loalang-packet-v2\0"
"""Keeps a signature made for one purpose from being one for another."""

COUNTER_BYTES: Final = 8
TRAILER_BYTES: Final = PASS_BYTES + COUNTER_BYTES + SIGNATURE_BYTES

RTP_HEADER_BYTES: Final = 12

SRTP_KEY_BYTES: Final = 28
"""Master key of 16 and salt of 12 bytes (RFC 7714, section 12)."""

WINDOW: Final = 1024
"""Packets that may overtake each other and still be heard: 20 s of 20 ms packets."""

CHECKS_PER_S: Final = 400
"""Signatures checked per second from one address; 50 packets, their repairs and reports are real.
More cost 40 ms of a second's CPU time here, five times that on a Pi 4 (docs/why.md)."""

TURNS_MAX: Final = 8
"""Checks beside the budget for one genuine packet: who hears a pass may show it again at once."""

SEARCHES_PER_S: Final = 20
"""Packets per second from one address of which the wraps of their numbers are looked for, at 0.4 ms
each (docs/why.md)."""

SEARCHES_MAX_PER_S: Final = 3 * SEARCHES_PER_S
"""From all addresses together, which are forged as easily as packets."""

AWAY_NS: Final = 120 * NS_PER_S
"""Less than what 65,536 packets of 2.5 ms take, the shortest that Opus has."""

STREAMS_MAX: Final = 64
"""SSRCs of one session whose numbers are known; beyond it the oldest is forgotten."""


class Guard(Protocol):
    """Opens the packets of one session."""

    def open(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_rtcp: bool
    ) -> bytes | None:
        """Return the packet inside `data`, or None when it is not the sender's. Never raises."""


def sign_packet(packet: bytes, counter: int, signer: Signer, turn: bytes = NO_PASS) -> bytes:
    """Return `packet` with its pass, counter and signature behind it."""
    told = packet + turn + counter.to_bytes(COUNTER_BYTES, "big")
    return told + signer.sign(CONTEXT + told)


class SignedGuard:
    """Open signed packets: newer than the window, not seen yet, and by the session's key."""

    def __init__(self, public_key: bytes, counter_start: int) -> None:
        self._public_key = public_key
        self._start = counter_start
        self._highest = counter_start - 1
        self._seen = 0
        self._shown = NO_PASS
        self._turns = 0
        self._checks = ChecksOfHosts(CHECKS_PER_S)

    def open(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_rtcp: bool
    ) -> bytes | None:
        """Return the packet inside `data`, or None. The window moves only by what is genuine."""
        if len(data) <= TRAILER_BYTES:
            return None
        told, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        counter = int.from_bytes(told[-COUNTER_BYTES:], "big")
        turn = told[-COUNTER_BYTES - PASS_BYTES : -COUNTER_BYTES]
        if not self._is_new(counter):
            return None
        if not self._has_its_turn(turn, counter) and not self._checks.may(source[0], now_ns):
            return None
        if not verified(self._public_key, signature, CONTEXT + told):
            return None
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = ((self._seen << min(ahead, WINDOW)) | 1) & ((1 << WINDOW) - 1)
            self._highest, self._shown, self._turns = counter, turn, TURNS_MAX
        else:
            self._seen |= 1 << -ahead
        return told[: -COUNTER_BYTES - PASS_BYTES]

    def _is_new(self, counter: int) -> bool:
        behind = self._highest - counter
        if counter < self._start or behind >= WINDOW:
            return False
        return behind < 0 or not self._seen >> behind & 1

    def _has_its_turn(self, turn: bytes, counter: int) -> bool:
        """Return whether a packet shows a pass that only the sender can have made."""
        if self._turns <= 0 or not follows(turn, self._shown, counter - self._highest):
            return False
        self._turns -= 1
        return True


class SrtpGuard:
    """Open SRTP and SRTCP packets; the library keeps their replay window.

    It counts the wraps of their numbers as they come. Where it cannot know them they are found.
    """

    def __init__(self, key: bytes) -> None:
        self._session = pylibsrtp.Session(srtp_policy(key, inbound=True))
        self._key = key
        self._searches = ChecksOfHosts(SEARCHES_PER_S)
        self._all_searches = ChecksOfHosts(SEARCHES_MAX_PER_S)
        self._rollover: Rollover | None = None
        self._highest: dict[int, int] = {}
        """By SSRC: number of the newest packet opened, with its wraps."""
        self._heard_ns: dict[int, int] = {}
        """By SSRC: when."""

    def open(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_rtcp: bool
    ) -> bytes | None:
        """Return the packet inside `data`, or None."""
        opened = self._opened(data, is_rtcp=is_rtcp)
        if is_rtcp or len(data) < RTP_HEADER_BYTES:
            return opened
        ahead = self._ahead(data)
        if opened is None and self._may_search(data, ahead, source[0], now_ns):
            return self._found(data, now_ns)
        if opened is not None and ahead:
            self._note(data, self._highest.get(_ssrc_of(data), -1) + ahead, now_ns)
        return opened

    def _may_search(self, data: bytes, ahead: int, host: str, now_ns: int) -> bool:
        """Return whether a packet may be new by wraps that are not known, and is looked at."""
        # Nearly 65,536 numbers ahead look like some behind, after so long a silence alone.
        was_away = now_ns - self._heard_ns.get(_ssrc_of(data), now_ns) > AWAY_NS
        if not was_away and -WINDOW < ahead <= 0:
            return False
        return self._searches.may(host, now_ns) and self._all_searches.may("", now_ns)

    def _opened(self, data: bytes, *, is_rtcp: bool) -> bytes | None:
        try:
            open_one = self._session.unprotect_rtcp if is_rtcp else self._session.unprotect
            return bytes(open_one(data))
        except (pylibsrtp.Error, TypeError, ValueError):
            return None

    def _ahead(self, data: bytes) -> int:
        """Return how far a packet is ahead of the newest one opened, as the library takes it."""
        ssrc, sequence = _ssrc_of(data), int.from_bytes(data[2:4], "big")
        if ssrc not in self._highest:
            return sequence + 1
        return ((sequence - self._highest[ssrc] + 0x8000) & 0xFFFF) - 0x8000

    def _found(self, data: bytes, now_ns: int) -> bytes | None:
        """Look for the wraps of a packet's number, and open it by them."""
        self._rollover = self._rollover or Rollover(self._key)
        ssrc = _ssrc_of(data)
        index = self._rollover.index_of(data, self._highest.get(ssrc, -1))
        if index is None:
            return None
        # Behind it there is room for what it has overtaken.
        sender = pylibsrtp.Session(srtp_policy(self._key, inbound=False))
        lead(self._session, sender, ssrc, index - WINDOW + 1)
        self._note(data, index, now_ns)
        return self._opened(data, is_rtcp=False)

    def _note(self, data: bytes, index: int, now_ns: int) -> None:
        ssrc = _ssrc_of(data)
        if ssrc not in self._highest and len(self._highest) >= STREAMS_MAX:
            oldest = next(iter(self._highest))
            del self._highest[oldest], self._heard_ns[oldest]
        self._heard_ns[ssrc] = now_ns
        self._highest[ssrc] = max(index, self._highest.get(ssrc, 0))


def _ssrc_of(data: bytes) -> int:
    return int.from_bytes(data[8:12], "big")


def srtp_policy(key: bytes, *, inbound: bool) -> pylibsrtp.Policy:
    """Return AEAD_AES_128_GCM with `key` for all streams of one direction."""
    assert len(key) == SRTP_KEY_BYTES, "checked where it was read"
    way = pylibsrtp.Policy.SSRC_ANY_INBOUND if inbound else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    profile = pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    policy = pylibsrtp.Policy(key=key, ssrc_type=way, srtp_profile=profile)
    policy.window_size = WINDOW
    policy.allow_repeat_tx = True
    return policy
