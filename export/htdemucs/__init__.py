"""The HTDemucs family: its checkpoints, and its network rewritten for export.

Reading order: origin (which checkpoints), listing (its yaml), pretrained, checkpoints, supported, bag_model,
graph, layers, transformer, export_bag (the model folder). Besides: random_bag makes weights for tests,
published and bench measure speed, reference runs demucs itself.
"""
