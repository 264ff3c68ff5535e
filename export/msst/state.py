"""The weights of a checkpoint as the modules take them: each checked for its shape, none left over."""

from collections.abc import Mapping

from torch import Tensor

from separation.errors import ModelError


class State:
    """Weights below a prefix of their names; `at` goes down. Who has taken all calls `check_all_taken`."""

    def __init__(self, where: str, weights: Mapping[str, Tensor], prefix: str = "") -> None:
        self._where, self._weights, self._prefix = where, weights, prefix
        self._taken: set[str] = set()

    def at(self, *names: str | int) -> "State":
        below = State(self._where, self._weights, "".join(f"{self._prefix}{'.'.join(map(str, names))}."))
        below._taken = self._taken
        return below

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._prefix + name in self._weights

    def __call__(self, name: str, *shape: int) -> Tensor:
        """The weight `name` of this shape. Raises `ModelError` if there is none."""
        full = self._prefix + name
        if full not in self._weights:
            raise ModelError(self._where, f"has no weight {full}; another model than the configuration's")
        if (found := tuple(self._weights[full].shape)) != shape:
            raise ModelError(self._where, f"{full} has the shape {found}; by the configuration {shape}")
        self._taken.add(full)
        return self._weights[full].detach()

    def check_all_taken(self) -> None:
        """Raises `ModelError` if the checkpoint has weights that nothing asked for."""
        if left := sorted(set(self._weights) - self._taken):
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            raise ModelError(self._where, f"{left[0]}{more} are no weights of the configuration's model")
