"""Mel-Band RoFormer (arXiv 2310.01809) and BS-RoFormer (arXiv 2309.02612), in MSST's formats.

Reading order: sizes (which networks are supported), bands, layers, graph (the network for export), published
(the network as MSST runs it), network (both, for `export.msst`).
"""
