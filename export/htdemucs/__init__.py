"""HTDemucs: its checkpoints, and its network rewritten for export."""
