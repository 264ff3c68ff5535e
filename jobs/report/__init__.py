"""What the tables of an output say, for people: read with `facts`, drawn with `page` or `markdown`."""
