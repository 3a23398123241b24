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
class Client(Protocol):
    """What clients of federated learning do with their records, as far as they disclosed it."""

    def update(
        self,
        before: Mapping[str, NDArray[np.generic]],
        records: NDArray[np.generic],
        labels: NDArray[np.int64],
        seed: int,
    ) -> Mapping[str, NDArray[np.generic]]:
        """Return what is sent for these records, defences included, by the names in ``before``.

        records: ``[n, ...]`` of all clients whose updates are averaged, each client's in a row.
        """
        ...

    def after(
        self, before: Mapping[str, NDArray[np.generic]], update: Mapping[str, NDArray[np.generic]]
    ) -> Mapping[str, NDArray[np.generic]]:
        """Return the global model once a server has applied that update."""
        ...


@runtime_checkable
class Describing(Protocol):
    """A target that can describe how a reconstruction looks; nothing is decided by it."""

    def fidelity(
        self, records: NDArray[np.generic], guesses: NDArray[np.generic]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Return measures by name and unit, ``[n]``, of ``n`` pairs.

        Such as "PSNR (dB)"; what is from 0 to 1 has the unit "(share)".
        """
        ...

    def shown(self, record: NDArray[np.generic]) -> bytes | str:
        """Return a record as a PNG image or as text."""
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
