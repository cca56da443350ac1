"""The worst minutes of a run as a page that plays: packets, faults and who sounds, over the map."""
