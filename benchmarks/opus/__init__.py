"""The Opus decoder beside libopus: final ranges, damage, loss, speed and memory."""
