"""One answer of the simulator: of a run, and of a day."""
