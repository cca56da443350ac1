"""Orders of several keys, drawn: who signs first and who besides, and which of them is forged."""

import numpy as np

from benchmarks.control.orders_pole import Watched
from benchmarks.control.several.keys import KEYS, NOBODY, OFFICERS, SIGNERS, Named
from benchmarks.control.several.truth import ROOTS
from node.control.precedence import MessageClass
from node.control.trust.message import Kind, Message, cosign, seal


class Drawn:
    """Draws what a history needs, and signs it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pole = Watched((), root=SIGNERS["root"], next_root=SIGNERS["root 2"])
        self._counter = 0

    def _of(self, choices: "tuple[int, ...] | range") -> int:
        return int(choices[int(self._rng.integers(len(choices)))])

    def _some(self, names: tuple[str, ...]) -> str:
        return names[self._of(range(len(names)))]

    def _signers(self) -> tuple[str, list[str]]:
        """Return who signs first, and who besides: a key twice, or one that nobody named."""
        first = self._some((*OFFICERS, *OFFICERS, *KEYS, *KEYS, *ROOTS, "thief"))
        many = self._of((0, 1, 1, 2, 3))
        names = (*OFFICERS, *OFFICERS, first, "province", "thief")
        return first, [self._some(names) for _ in range(many)]

    def _seal(
        self, first: str, besides: list[str], kind: Kind, content: bytes, *, area: str, most: int
    ) -> tuple[bytes, frozenset[str]]:
        """Return an order and who has truly signed it besides: some signatures are forged."""
        self._counter += 1
        message = Message(
            kind=kind,
            key_id=SIGNERS[first].key_id,
            counter=self._counter,
            issued_s=self._pole.utc_s,
            ttl_s=3600,
            message_class=MessageClass(most),
            area=area,
            content=content,
        )
        sealed, true = seal(message, SIGNERS[first]), set()
        for one in besides:
            forged = self._rng.random() < 0.15
            if one == first:  # no tool does that
                sealed = cosign(sealed, Named(one, NOBODY))
                sealed = sealed.replace(NOBODY, SIGNERS[one].key_id, 1)
                continue
            signer = Named("forger", SIGNERS[one].key_id) if forged else SIGNERS[one]
            sealed = cosign(sealed, signer)
            true.discard(one)
            true |= set() if forged else {one}
        return sealed, frozenset(true)
