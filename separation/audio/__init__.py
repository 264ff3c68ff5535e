"""Audio files: decoding, resampling and downmixing on the way in, encoding on the way out."""
