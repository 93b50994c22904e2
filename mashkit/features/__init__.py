"""Facts computed from audio: spectral features, tuning, fingerprints of recordings."""
