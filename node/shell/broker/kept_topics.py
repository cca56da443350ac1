"""What the broker's session is subscribed to, as the store has it."""

import json
from typing import Final

TOPICS_KEY: Final = "shell/topics"
"""Where the store has what the broker's session is subscribed to."""


def topics_in(stored: bytes) -> list[str]:
    """Return the topics that were kept; none where that is no list."""
    try:
        found = json.loads(stored or b"[]")
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
