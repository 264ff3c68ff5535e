"""A small htdemucs_ft, trained on the synthetic band: one base model, then one specialist per stem.

Reading order: songs (a training set on disk, batches from it), network (the HTDemucs and how it starts),
loss (SDR as a loss), optimizer, phase (one model's training, saved and resumed), __main__ (base, four
specialists, the bag).
"""
