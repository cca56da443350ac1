"""What survives a power cut: two copies on a disk that may be full, slow or damaged."""
