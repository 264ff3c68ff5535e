"""Programs for `ray job submit`. Ray lives only here."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that `ray.init` starts
# A driver renews its claim on the cluster every 10 s. That of a killed one stands until it expires, by Ray's
# default for three minutes, in which the next run gets no resources and starts nothing.
os.environ.setdefault("RAY_DATA_AUTOSCALING_REQUEST_EXPIRE_TIME_S", "30")
