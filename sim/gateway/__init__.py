"""Models of the box: processor, crystal and power."""
