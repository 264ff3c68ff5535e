"""The sizes of a RoFormer, from its configuration; what the modules here do not compute is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from export.msst.config import Config, network_arguments
from export.roformer.bands import mel_bands, split_bands
from export.stft import Framing
from separation.errors import ModelError

# Arguments of both classes that say nothing of the network's output: of training, of memory in training, and
# of which kernel computes the same attention.
WITHOUT_EFFECT = {
    "attn_dropout", "ff_dropout", "flash_attn", "dim_freqs_in", "use_torch_checkpoint",
    "multi_stft_resolution_loss_weight", "multi_stft_resolutions_window_sizes", "multi_stft_hop_size",
    "multi_stft_normalized",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Arguments that both classes of MSST share, under their own names: msst/models/bs_roformer (0.1.0)."""

    dim: int
    depth: int
    stereo: bool = False
    num_stems: int = 1
    time_transformer_depth: int = 2
    freq_transformer_depth: int = 2
    linear_transformer_depth: int = 0
    dim_head: int = 64
    heads: int = 8
    stft_n_fft: int = 2048
    stft_hop_length: int = 512
    stft_win_length: int = 2048
    stft_normalized: bool = False
    zero_dc: bool = True
    mask_estimator_depth: int = 1
    mlp_expansion_factor: int = 4
    skip_connection: bool = False
    use_pope: bool = False
    sage_attention: bool = False

    network: ClassVar[str] = ""
    norm_output: ClassVar[bool] = False  # whether each transformer ends with a norm
    final_norm: ClassVar[bool] = False  # whether there is one before the masks

    @property
    def framing(self) -> Framing:
        return Framing(self.stft_n_fft, self.stft_hop_length, self.stft_normalized, hann=True)

    @property
    def bands(self) -> tuple[tuple[int, ...], ...]:
        """The bins of each band, ascending."""
        raise NotImplementedError

    @property
    def hidden_layers(self) -> int:
        """Layers of a band's mask estimator before the last one."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class MelBandSizes(Sizes):
    """`MelBandRoformer`'s. `sample_rate`, in Hz, is that of its bands."""

    num_bands: int = 60
    sample_rate: int = 44_100
    match_input_audio_length: bool = False

    network: ClassVar[str] = "MelBandRoformer"
    norm_output: ClassVar[bool] = True

    @property
    def bands(self) -> tuple[tuple[int, ...], ...]:
        return mel_bands(self.num_bands, self.stft_n_fft, self.sample_rate)

    @property
    def hidden_layers(self) -> int:
        return self.mask_estimator_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class BSSizes(Sizes):
    """`BSRoformer`'s. `freqs_per_bands` are bins."""

    freqs_per_bands: tuple[int, ...] = (2,) * 24 + (4,) * 12 + (12,) * 8 + (24,) * 8 + (48,) * 8 + (128, 129)
    mask_estimator_depth: int = 2

    network: ClassVar[str] = "BSRoformer"
    final_norm: ClassVar[bool] = True

    @property
    def bands(self) -> tuple[tuple[int, ...], ...]:
        return split_bands(self.freqs_per_bands)

    @property
    def hidden_layers(self) -> int:
        return self.mask_estimator_depth - 1


KINDS: Mapping[str, type[Sizes]] = {"mel_band_roformer": MelBandSizes, "bs_roformer": BSSizes}
TOLD_BY = {"num_bands": "mel_band_roformer", "freqs_per_bands": "bs_roformer"}  # by an argument of one class


def sizes_of(kind: str | None, config: Config) -> Sizes:
    """The section `model`, of MSST's type `kind` (None: by its arguments).

    Raises `ModelError` for what is not supported.
    """
    where, model = config.where, config.model
    if kind is None:
        told = [TOLD_BY[name] for name in TOLD_BY if name in model]
        if len(told) != 1:
            found = "both" if told else "neither"
            raise ModelError(where, f"model has {found} of {' and '.join(TOLD_BY)}; --type says which it is")
        (kind,) = told
    arguments: dict[str, Any] = {name: value for name, value in model.items() if name not in WITHOUT_EFFECT}
    sizes = network_arguments(where, arguments, KINDS[kind].network, KINDS[kind])
    _check(where, sizes, config.contract.segment)
    return sizes


def _check(where: str, sizes: Sizes, segment: int) -> None:
    def expect(name: str, holds: bool, expected: str) -> None:
        if not holds:
            value = getattr(sizes, name)
            found = list(value) if isinstance(value, tuple) else value
            raise ModelError(where, f"model.{name} is {found!r}; supported: {expected}")

    for name in ("dim", "depth", "num_stems", "time_transformer_depth", "freq_transformer_depth", "heads"):
        expect(name, getattr(sizes, name) > 0, "1 or more")
    expect("stereo", sizes.stereo, "true, two channels")
    expect("linear_transformer_depth", sizes.linear_transformer_depth == 0, "0, no linear attention")
    expect("use_pope", not sizes.use_pope, "false, rotary positions")
    expect("sage_attention", not sizes.sage_attention, "false, attention in full precision")
    expect("dim_head", sizes.dim_head > 0 and sizes.dim_head % 2 == 0, "an even number above 0")
    fft = sizes.stft_n_fft
    expect("stft_n_fft", fft >= 64 and not fft & (fft - 1), "a power of 2 from 64 up")
    expect("stft_win_length", sizes.stft_win_length == fft, f"stft_n_fft, {fft}")
    expect("stft_hop_length", 0 < sizes.stft_hop_length <= fft // 2, f"1 to half of stft_n_fft, {fft // 2}")
    least = 1 if sizes.final_norm else 0
    expect("mask_estimator_depth", sizes.mask_estimator_depth >= least, f"{least} or more")
    expect("mlp_expansion_factor", sizes.mlp_expansion_factor > 0, "1 or more")
    if isinstance(sizes, BSSizes):
        counts, bins = sizes.freqs_per_bands, sizes.framing.bins
        expect("freqs_per_bands", len(counts) > 1 and min(counts) > 0, "two or more numbers above 0")
        expect("freqs_per_bands", sum(counts) == bins, f"a sum of {bins} bins, by stft_n_fft")
    if isinstance(sizes, MelBandSizes):
        expect("num_bands", sizes.num_bands > 1, "2 or more")
        expect("sample_rate", sizes.sample_rate > 0, "a rate in Hz")
        bands = sizes.bands
        whole = all(bands) and len(set().union(*bands)) == sizes.framing.bins
        expect(
            "num_bands", whole, f"few enough for a bin in each of {sizes.framing.bins}, and a band for each"
        )
    if segment <= fft:
        raise ModelError(where, f"chunk_size is {segment}; supported: more than model.stft_n_fft, {fft}")
    if isinstance(sizes, MelBandSizes) and not sizes.match_input_audio_length:
        hop = sizes.stft_hop_length
        if segment % hop:  # the network's output is shorter then, and MSST's demix fails
            said = f"a multiple of model.stft_hop_length, {hop}, or model.match_input_audio_length"
            raise ModelError(where, f"chunk_size is {segment}; supported: {said}")
