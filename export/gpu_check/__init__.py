"""python -m export gpu-check: what has to hold of a GPU, and what it is worth, in one run of ten minutes.

`plan` lists the steps, `steps` and `load` are their work, `process` runs one of them in a process of its own,
and `run` goes through all of them, whatever fails.
"""
