"""Programs for `ray job submit`. Ray lives only here."""
