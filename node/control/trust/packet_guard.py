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
from node.control.trust.signature import SIGNATURE_BYTES, Signer, verified
from node.units import NS_PER_S

CONTEXT: Final = b"loalang-packet-v2\0"
"""Keeps a signature made for one purpose from being one for another."""

COUNTER_BYTES: Final = 8
TRAILER_BYTES: Final = PASS_BYTES + COUNTER_BYTES + SIGNATURE_BYTES

SRTP_KEY_BYTES: Final = 28
"""Master key of 16 and salt of 12 bytes (RFC 7714, section 12)."""

WINDOW: Final = 1024
"""Packets that may overtake each other and still be heard: 20 s of 20 ms packets."""

CHECKS_PER_S: Final = 400
"""Signatures checked per second from one address; 50 packets, their repairs and reports are real.
More cost 40 ms of a second's CPU time here, five times that on a Pi 4 (docs/why.md)."""

TURNS_MAX: Final = 8
"""Checks beside the budget for one genuine packet: who hears a pass may show it again at once."""

ADDRESSES_MAX: Final = 64
"""Addresses whose checks are counted; beyond it the oldest is forgotten."""


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
        self._checks: dict[str, tuple[int, int]] = {}

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
        if not self._has_its_turn(turn, counter) and not self._may_check(source[0], now_ns):
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

    def _may_check(self, host: str, now_ns: int) -> bool:
        """Return whether another signature of `host` may be checked in this second."""
        second = now_ns // NS_PER_S
        known = self._checks.get(host, (second, 0))
        count = known[1] if known[0] == second else 0
        if host not in self._checks and len(self._checks) >= ADDRESSES_MAX:
            del self._checks[next(iter(self._checks))]
        self._checks[host] = (second, count + 1)
        return count < CHECKS_PER_S


class SrtpGuard:
    """Open SRTP and SRTCP packets; the library keeps their replay window."""

    def __init__(self, key: bytes) -> None:
        self._session = pylibsrtp.Session(srtp_policy(key, inbound=True))

    def open(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_rtcp: bool
    ) -> bytes | None:
        """Return the packet inside `data`, or None."""
        try:
            opened = (
                self._session.unprotect_rtcp(data) if is_rtcp else self._session.unprotect(data)
            )
        except (pylibsrtp.Error, TypeError, ValueError):
            return None
        return bytes(opened)


def srtp_policy(key: bytes, *, inbound: bool) -> pylibsrtp.Policy:
    """Return AEAD_AES_128_GCM with `key` for all streams of one direction."""
    assert len(key) == SRTP_KEY_BYTES, "checked where it was read"
    way = pylibsrtp.Policy.SSRC_ANY_INBOUND if inbound else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    profile = pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    policy = pylibsrtp.Policy(key=key, ssrc_type=way, srtp_profile=profile)
    policy.window_size = WINDOW
    policy.allow_repeat_tx = True
    return policy
