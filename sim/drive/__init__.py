"""Node by node through virtual time: arrivals in, periods out, the measures of a run."""
