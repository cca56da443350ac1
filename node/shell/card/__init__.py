"""Where the sound goes: a sound card, a file, or nothing at the pace of a card."""
