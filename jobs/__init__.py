"""Programs for `ray job submit`. Ray lives only here."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that `ray.init` starts
