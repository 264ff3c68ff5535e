"""Audio files -> mixes, and stems -> audio files.

reading         a file -> the mix: decoders/, then downmix and resampling
decoder_process the same in a separate process, which a bad file may crash
headers         what a file says about itself, without a decoder
encoding        blocks -> a file; stem_files writes all stems of a track
"""
