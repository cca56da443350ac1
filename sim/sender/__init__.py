"""`loalang-send`: a sender for real networks, with repair, copies and answers about the time."""
