"""Small protocols by which core talks to what a plugin hands over. All arrays are numpy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Queryable(Protocol):
    """A model that can be asked."""

    def query(self, records: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return raw outputs (logits unless the target says otherwise), float32 ``[n, classes]``.

        A binary model with one logit returns ``[n, 1]``.
        """
        ...


@runtime_checkable
class Recorded(Protocol):
    """A model of which only recorded outputs exist."""

    def recorded(self, part: str) -> NDArray[np.float32] | None:
        """Return outputs ``[n, queries, classes]`` on "candidates" or "auxiliary" records."""
        ...


@runtime_checkable
class Weights(Protocol):
    """A model whose parameters may be read."""

    def parameters(self) -> Mapping[str, NDArray[np.generic]]:
        """Return named parameters."""
        ...


@runtime_checkable
class Native(Protocol):
    """A model that a plugin of the same backend may differentiate through."""

    def native(self) -> object:
        """Return the framework's own object."""
        ...


@runtime_checkable
class Cohort(Protocol):
    """Models trained together; what a shadow trainer returns."""

    def query(self, records: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return logits, float32 ``[models, n, classes]``."""
        ...


class Log(Protocol):
    """What a plugin may do with its log."""

    def debug(self, event: str, **values: object) -> object: ...
    def info(self, event: str, **values: object) -> object: ...
    def warning(self, event: str, **values: object) -> object: ...


class Run(Protocol):
    """What a function behind an offer is given beside its input.

    seed: the only source of randomness, in [0, 2**32).
    scratch: an empty folder outside the run folder, removed afterwards.
    log: structured log.
    """

    @property
    def seed(self) -> int: ...
    @property
    def scratch(self) -> Path: ...
    @property
    def log(self) -> Log: ...
