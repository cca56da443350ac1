"""Random small villages with random faults in virtual time, and what must hold in all of them."""
