"""Several model folders become one: each stem from the folder where it is best."""
