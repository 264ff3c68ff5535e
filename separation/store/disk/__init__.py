"""This node's disk: writing whole or not at all, folders of one user alone, and a disk that is full."""
