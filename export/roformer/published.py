"""RoFormers as they are published, for comparison: the two classes of `pymss_core`.

They are MSST's (0.1.0) but for two arguments: `zero_dc` has another default in one of them, and a mask
estimator of MSST's `MelBandRoformer` has a layer more than `mask_estimator_depth` says there.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pymss_core.modules.bs_roformer import BSRoformer, MelBandRoformer
from torch import Tensor, nn

from export.roformer.sizes import MelBandSizes, Sizes

NOT_THERE = ("linear_transformer_depth", "sage_attention", "use_pope")  # none of them is supported here


def published(sizes: Sizes, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The network in eval mode, with these weights; None: PyTorch's own random ones.

    (n, 2, samples) -> (n, rows, 2, samples): it leaves the axis of a single row out itself.
    """
    arguments: dict[str, Any] = {
        name: value for name, value in asdict(sizes).items() if name not in NOT_THERE
    }
    model: nn.Module
    if isinstance(sizes, MelBandSizes):
        model = MelBandRoformer(**arguments, mlp_hidden_layers=sizes.hidden_layers)
    else:
        model = BSRoformer(**arguments)
    if weights is not None:
        model.load_state_dict(weights)
    model.register_forward_hook(lambda _, __, stems: stems.unsqueeze(1) if stems.ndim == 3 else stems)
    return model.eval()
