"""What attacks on updates answered, kept in the run folder until the audit is finished.

An audit that was killed goes on with the first batch that an attack has not answered. Answers are
reconstructions of clients' records: once the judge has looked at all of them they are deleted, and
what is shown of them stands in exhibits.
"""

import hashlib
from typing import TypeVar

import numpy as np
from attrs import fields

from leakpro_core.arrays import AnyArray
from leakpro_core.files import Shelf, save_array
from leakpro_core.games.gradient_inversion import InversionAnswer
from leakpro_core.games.membership import MembershipAnswer

Answer = InversionAnswer | MembershipAnswer

T = TypeVar("T", InversionAnswer, MembershipAnswer)

_MARK = "update-"
_PLAIN = "biufU"


def recall(shelf: Shelf, key: str, kind: type[T]) -> T | None:
    """Return what an attack answered in an earlier run of the same plan, None where it did not.

    key: see ``key_of``.
    """
    names = shelf.recall(key)
    if names is None:
        return None
    # Copies: each file that stays mapped is one that the process holds open.
    said = {name: np.array(shelf.array(file)) for name, file in names.items()}
    values: dict[str, object] = dict(said)
    if "residual" in said:
        values["residual"] = float(said["residual"][0])
    if "notes" in said:
        values["notes"] = tuple(map(str, said["notes"]))
    return kind(**values)  # type: ignore[arg-type]


def keep(shelf: Shelf, key: str, answer: Answer) -> None:
    """Note an attack's answer; ``CannotWrite`` where the disk is full, say."""
    values = {f.name: getattr(answer, f.name) for f in fields(type(answer))}
    arrays = {name: _array(value) for name, value in values.items() if value is not None}
    if any(values.dtype.kind not in _PLAIN for values in arrays.values()):
        return  # it is refused by the referee, and has no bytes of its own
    shelf.note(key, {name: save_array(shelf.folder, each) for name, each in arrays.items()})


def forget(shelf: Shelf) -> None:
    """Delete all answers: they are records of people, or near to some."""
    for note in shelf.folder.glob(f"{_MARK}*.json"):
        note.unlink(missing_ok=True)
    # Some may lie there without a note, of a run that was killed before it was written.
    others = [shelf.recall(note.stem) or {} for note in shelf.folder.glob("*.json")]
    noted = {file for names in others for file in names.values()}
    for array in shelf.folder.glob("*.npy"):
        if array.stem not in noted:
            array.unlink(missing_ok=True)


def key_of(attack: str, adversary: str, seed: int) -> str:
    """Return the name of an answer's note. seed: the attack's own, which no other question has.

    The folder is of one plan and set of plugins.
    """
    digest = hashlib.sha256(f"{attack}@{adversary} {seed}".encode())
    return f"{_MARK}{digest.hexdigest()[:24]}"


def _array(value: object) -> AnyArray:
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, str) if isinstance(value, tuple) else np.array([value], np.float64)
