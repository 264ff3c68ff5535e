"""Decoding in separate processes, so that a bad file can harm no other.

Files are untrusted: one may make a decoder crash, hang or take all memory. So a file is decoded in a child
process, which is started once and then serves one file after another. A child in trouble is killed, and the
next file gets a new one. The samples are those of `reading.Reader`, to the bit.

    caller                                              child process
    decoding.Decoding ── process.DecoderProcess ──┄┄┄┄── server.Server ── reading.Reader
             └── pool.DecoderPool keeps idle children    messages: what the two say
                                                         sandbox: what the child cannot do

    what happens to the child                  what becomes of the track
    it dies (a signal, any exit)               a new child goes on at the next sample; the third time: crashed
    no sample for 45 s (`Limits.silence_s`)    crashed: killed, not tried again
    it needs more than `Limits.memory_bytes`   too_large
"""
