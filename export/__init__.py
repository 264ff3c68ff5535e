"""From checkpoints to ONNX graphs. torch, demucs, pymss-core and onnx are imported only here.

To add a model family:

1. A folder beside `htdemucs/`, `scnet/` and `roformer/`: open its checkpoints, and say which of them it
   supports. Models in MSST's formats are opened in `msst/`; such a family gives a `msst.model.Network`.
2. Its network as torch modules made from the checkpoint's weights, with `fourier` or `stft`, `layers` and
   `operations`.
3. A class like `model_folder.ExportableModel`: `onnx_file` makes the graph, `int8` and `fp16` the precisions;
   its contract says how segments are cut and stitched.
4. A subcommand in `__main__.py` that passes these models to `write_model_folder`; `origin.request_of` finds
   them again by their origin.
5. Tests in `tests/export/<family>/`, with the bars of `parity`.
"""

import separation as separation  # before an engine: it keeps them from reporting to their makers
