"""What a file's own headers say, read without a decoder: its length, its tags, encryption, truncation.

Decoders return the samples that are there and call them the whole track, so only the headers show that an
upload broke off.
"""
