"""File systems and object stores: whole objects, verified reads, retries; what may be logged.

objects.py        `Store`: read, write, list and remove objects at any fsspec URI or plain path
location.py       the same operations at one URI, through fsspec; overridden by
local_disk.py     for local files, and by
s3.py             for S3, whose bodies are compared with their ETags (etags.py), and by
http.py           for web servers
retry.py          what happens when a store throttles or does not answer: `RetryPolicy` and `call`
errors.py         what a store's errors mean: which belong to one track, which are tried again
filesystems.py    the fsspec filesystem of a URI, and the settings of S3 and of web servers
atomic_write.py   local files that appear whole or not at all
source_cache.py   a node's cache of the catalogue's files
track_ids.py      which track ids can be paths below an output
places.py         whether two URIs are one file
redact.py         URIs, names and errors as they may be logged
"""
