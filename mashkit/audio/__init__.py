"""Audio of files and in memory: decoding, encoding, buffers, silence, levels, mixing."""
