"""Which tracks there are: a prefix, a glob or a manifest, without what the output holds itself."""
