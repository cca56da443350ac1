"""The loop that listens to the horn: its capture, on a thread that the sound never waits for."""
