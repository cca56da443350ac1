"""What the broker's session of a node is subscribed to, as the store keeps it."""

import json
from typing import Final

TOPICS_KEY: Final = "shell/topics"


def topics_in(stored: bytes) -> list[str]:
    """Return the topics that were kept; none of what cannot be read."""
    try:
        found = json.loads(stored or b"[]")
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
