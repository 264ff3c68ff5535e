"""The SCNet family (arXiv 2401.13276), in MSST's formats: base, large, XL, and the masked variant.

Reading order: sizes (which networks are supported), layers, dual_path, graph (the network for export),
published (the network as MSST runs it), network (both, for `export.msst`).
"""
