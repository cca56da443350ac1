"""Sound after the decoder: resampler, mixer, gain, loudness, limiter."""
