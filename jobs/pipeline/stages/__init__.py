"""The pipeline's stages as functions of Arrow tables, and what they need on a node."""
