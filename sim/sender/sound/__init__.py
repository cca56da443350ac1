"""From any sound that people have to Opus packets, live or from a file, evenly paced."""
