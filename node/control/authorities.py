"""The authorities of a node by its configuration: its root, and the one that may follow."""

from node.control.settings import ControlConfig
from node.control.trust.authority import AuthorityBook


def book_of(config: ControlConfig) -> AuthorityBook:
    """Return the book of authorities in which nobody but the root stands yet."""
    return AuthorityBook(
        bytes.fromhex(config.root_public_key),
        config.priority.tiers,
        config.area,
        bytes.fromhex(config.next_root),
    )
