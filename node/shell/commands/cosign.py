"""`loalang-node order cosign`: one more officer signs an order, at a machine of his own.

He is told what he signs. In what order they sign, and where the file lies meanwhile, is all one:
nobody can change it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from node.control.precedence import CLASSES
from node.control.trust.message import DOCUMENT_BYTES_MAX, Kind, Message, cosign, open_envelope
from node.control.trust.signature import SeedSigner
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_regular
from node.shell.poles.readable import short_number

_FILE_BYTES_MAX: Final = DOCUMENT_BYTES_MAX + 1024


def cosigned(path: Path, signer: SeedSigner) -> bytes:
    """Return the order in a file with one more signature.

    Raises
    ------
    ShellError
        If it is no order, or this key has signed it first: says what would be right.
    """
    return with_signatures(read_regular(path, _FILE_BYTES_MAX), (signer,), str(path))


def with_signatures(sealed: bytes, signers: tuple[SeedSigner, ...], what: str) -> bytes:
    """Return an order with the signatures of more keys; `what` names it in errors."""
    for signer in signers:
        try:
            sealed = cosign(sealed, signer)
        except ValueError as fault:
            raise ShellError(f"{what}: {fault}", exit_status=EXIT_INPUT) from fault
    return sealed


def told(sealed: bytes) -> str:
    """Return what an order says, in a line for who is to sign it."""
    message = open_envelope(sealed)
    assert isinstance(message, Message), "it was opened when it was signed"
    number = short_number(message.content) if message.kind is Kind.SHORT_ALERT else None
    about = "" if number is None else f" number {number}"
    issued = datetime.fromtimestamp(message.issued_s, UTC).isoformat(timespec="seconds")
    return (
        f"{message.kind.name.lower()}{about} for {message.area or 'everywhere'}, "
        f"{CLASSES[message.message_class]}, issued {issued} by key {message.key_id.hex()}; "
        f"signatures: {1 + len(message.cosignatures)}"
    )
