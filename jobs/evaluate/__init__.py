"""What jobs.evaluate does: layout (which files belong together), scoring (a track on a worker), show."""
