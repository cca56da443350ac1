"""The report page, terminal table and machine-readable summaries of a run."""
