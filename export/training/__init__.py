"""A small htdemucs_ft, trained on the synthetic band: one base model, then a specialist a stem.

Reading order: songs (a training set on disk, batches from it), network (the HTDemucs and how it starts),
loss (the measure as a loss), optimizer, phase (one model's steps, saved and resumed), __main__ (base, four
specialists, the bag).
"""
