"""A configuration of MSST: the network's arguments, the names of its rows, and its contract."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, get_args, get_origin

import yaml

from separation.contract import CHANNELS, Contract, msst_contract
from separation.errors import ModelError
from separation.models.bag_checks import check_names
from separation.models.bag_format_2 import MOST_SEGMENT, SANE_RATES


class Dataclass(Protocol):
    """What `dataclasses.fields` takes."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Sizes = TypeVar("Sizes", bound=Dataclass)


@dataclass(frozen=True, slots=True)
class Config:
    """`where` is the file, for errors; `model` are the network's own arguments, unchecked.

    instruments  names of the network's rows, in order
    target       the only row that MSST keeps; None: all
    """

    where: str
    model: Mapping[str, Any]
    instruments: tuple[str, ...]
    target: str | None
    contract: Contract

    def rows(self, sources: int) -> dict[str, int]:
        """The rows that MSST keeps of a network of `sources` rows, by name: each one's index.

        Raises `ModelError` where names and rows differ in number. A network trained for one target alone may
        have one row.
        """
        if self.target is not None and sources == 1:
            return {self.target: 0}
        if sources != len(self.instruments):
            names = ", ".join(self.instruments)
            raise ModelError(self.where, f"the network has {sources} rows, training.instruments are {names}")
        if self.target is not None:
            return {self.target: self.instruments.index(self.target)}
        return {name: index for index, name in enumerate(self.instruments)}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """YAML and Python's tuples, which MSST's configurations have; any other tag is refused."""


_Loader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node))
)


def read_config(path: Path) -> Config:
    """Raises `ModelError`, which says which key is wrong, what was found and what was expected."""
    where = str(path)
    try:
        content = yaml.load(path.read_text(), _Loader)
    except FileNotFoundError:
        raise ModelError(where, "not found; --config is the model's configuration") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(where, f"not a configuration: {' '.join(str(error).split())}") from None
    audio, model, training, inference = (
        _section(where, content, name) for name in ("audio", "model", "training", "inference")
    )
    segment, key = audio.get("chunk_size"), "audio.chunk_size"
    if "chunk_size" in inference:  # as `demix` prefers it
        segment, key = inference["chunk_size"], "inference.chunk_size"
    segment = _whole(where, key, segment, range(1, MOST_SEGMENT + 1))
    overlap = _whole(where, "inference.num_overlap", inference.get("num_overlap"), range(1, segment + 1))
    rate = _whole(where, "audio.sample_rate", audio.get("sample_rate", 44_100), SANE_RATES)
    _whole(where, "audio.num_channels", audio.get("num_channels", CHANNELS), range(CHANNELS, CHANNELS + 1))
    instruments = training.get("instruments")
    if not is_list_of(str, instruments) or not instruments or len(set(instruments)) != len(instruments):
        raise ModelError(where, f"training.instruments are {instruments!r}, expected different names")
    target = training.get("target_instrument") or None
    if target is not None and target not in instruments:
        raise ModelError(where, f"training.target_instrument is {target!r}, expected one of {instruments}")
    check_names(where, "a row", instruments)
    normalize = bool(inference.get("normalize", False))
    contract = msst_contract(segment, overlap, normalize, rate)
    return Config(where, model, tuple(instruments), target, contract)


def network_arguments(where: str, model: Mapping[str, Any], network: str, sizes: type[Sizes]) -> Sizes:
    """The section `model` as a dataclass whose fields are the arguments of the class `network`, each checked
    for the field's type. Raises `ModelError` for others, and for those that are missing."""
    known = {field.name: field for field in fields(sizes)}
    if unknown := sorted(set(map(str, model)) - set(known)):
        raise ModelError(
            where, f"model.{unknown[0]} is not an argument of {network}; it has {', '.join(known)}"
        )
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in model:
            if field.default is MISSING:
                raise ModelError(where, f"model has no {name}, which {network} needs")
            continue
        value, kind = model[name], field.type
        element = get_args(kind)[0] if get_origin(kind) is tuple else None
        if element is float and is_list_of(float | int, value):  # type: ignore[arg-type]
            values[name] = tuple(map(float, value))
        elif element is not None and is_list_of(element, value):
            values[name] = tuple(value)
        elif element is None and type(value) is kind:
            values[name] = value
        else:
            expected = f"a list of {element.__name__}" if element else getattr(kind, "__name__", kind)
            raise ModelError(where, f"model.{name} is {value!r}, expected {expected}")
    return sizes(**values)


def is_list_of(kind: type, value: Any) -> bool:
    """Whether `value` is a list, or a tuple, of `kind`."""
    return isinstance(value, list | tuple) and all(
        isinstance(each, kind) and not isinstance(each, bool) for each in value
    )


def _section(where: str, content: Any, name: str) -> Mapping[str, Any]:
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise ModelError(where, f"{name} is {found!r}, expected a section of MSST's configuration")
    return found


def _whole(where: str, key: str, value: Any, allowed: Sequence[int]) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        last = f" to {allowed[-1]}" if len(allowed) > 1 else ""
        raise ModelError(where, f"{key} is {value!r}, expected {allowed[0]}{last}")
    return value
