"""Many sources at once: jitter buffers and decoders by the batch."""
