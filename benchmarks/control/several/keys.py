"""The keys of `benchmarks.control.several.history`, and signatures in the name of others."""

import hashlib
from typing import Final

from benchmarks.control.several.truth import ROOTS
from node.control.trust.signature import SeedSigner

OFFICERS: Final = ("national 1", "national 2", "national 3")
BELOW: Final = ("province", "commune")
KEYS: Final = (*OFFICERS, *BELOW)
AREAS_OF: Final = {"province": "vn/province", "commune": "vn/province/commune"}
SIGNERS: Final = {
    name: SeedSigner(hashlib.sha256(name.encode()).digest()) for name in (*ROOTS, *KEYS, "thief")
}
NOBODY: Final = b"\0nobody\0"


class Named(SeedSigner):
    """Signs with one key, in the name of another."""

    def __init__(self, seed: str, name: bytes) -> None:
        super().__init__(hashlib.sha256(seed.encode()).digest())
        self.key_id = name
