"""Audio files in, files of stems out, without Ray: what `python -m separation` does."""
