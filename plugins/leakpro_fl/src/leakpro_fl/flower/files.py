"""Files of a recording, as loader "update" reads them; nothing here needs Flower.

audit.toml                              the plan: leakpro audit FOLDER/audit.toml
sidecar.json                            what is known of how the updates came about
batch.npz, data.npz                     the client's records, and others, where they are known
round-0001/before.safetensors           the global model that was sent out
round-0001/client-NODE.safetensors      the node's reply
round-0001/client-NODE.json             what was known of that round
"""

import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import safetensors.numpy

from leakpro_core.arrays import AnyArray
from leakpro_core.errors import RunFolderTaken
from leakpro_core.files import write_atomic
from leakpro_core.inputs import read_npz
from leakpro_fl.flower.recording import Recording

_ROUND = "round-"


def claim(folder: Path) -> None:
    """Make the folder; ``RunFolderTaken`` where it holds another recording."""
    if any(folder.glob(f"{_ROUND}*")):
        raise RunFolderTaken(
            f"folder {str(folder)!r}",
            found="rounds of another training",
            expected="none",
            fix="Name another folder, or remove that one.",
        )
    folder.mkdir(parents=True, exist_ok=True)


def round_folder(folder: Path, number: int) -> Path:
    """Return the folder of a round; it is made."""
    found = folder / f"{_ROUND}{number:04d}"
    found.mkdir(parents=True, exist_ok=True)
    return found


def next_round(folder: Path) -> int:
    """Return the number after the last round that was recorded."""
    return max((_number(path) for path in folder.glob(f"{_ROUND}*")), default=0) + 1


def write_arrays(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    """Write named arrays to ``path`` with the format's ending added.

    safetensors; npz where the arrays have no names but numbers, as Flower gives to a list.
    """
    if list(arrays) == [str(n) for n in range(len(arrays))]:
        write_npz(path.with_name(f"{path.name}.npz"), *arrays.values())
        return
    native = {name: _native(values) for name, values in arrays.items()}
    write_atomic(path.with_name(f"{path.name}.safetensors"), safetensors.numpy.save(native))


def write_npz(path: Path, *arrays: AnyArray, **named: AnyArray) -> None:
    """Write what ``np.savez`` writes, at once."""
    buffer = io.BytesIO()
    np.savez(buffer, *arrays, **named)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())


def write_known(path: Path, known: Mapping[str, object]) -> None:
    """Write what is known of a reply, by the names of ``Disclosed``."""
    write_atomic(path, json.dumps(dict(known)).encode())


def write_plan(recording: Recording, folder: Path, node: int, suffix: str = "") -> None:
    """Write sidecar and plan for all rounds of a node that ``folder`` holds, and copy the code."""
    rounds = sorted(folder.glob(f"{_ROUND}*/client-{node}.json"), key=lambda p: _number(p.parent))
    if not rounds:
        return
    said = attrs.asdict(recording.disclosed, filter=lambda _, value: value is not None)
    known = {**_agreed([json.loads(path.read_text()) for path in rounds]), **said}
    write_atomic(folder / f"sidecar{suffix}.json", json.dumps(known, indent=2).encode())
    for path in recording.code:
        shutil.copyfile(path, folder / path.name)
    parts = [
        "# Written anew after every round.",
        "schema = 1",
        f"name = {_toml(f'Flower client {node}, {_counted(len(rounds))}')}",
        "",
        *_target(recording, folder, rounds, f"sidecar{suffix}.json"),
        *_data(recording, folder),
    ]
    if recording.tables.strip():
        parts += ["", recording.tables.strip()]
    write_atomic(folder / f"audit{suffix}.toml", "\n".join([*parts, ""]).encode())


def _target(recording: Recording, folder: Path, rounds: Sequence[Path], sidecar: str) -> list[str]:
    node = rounds[0].stem.removeprefix("client-")
    befores = [_found(folder, path.parent, f"before-{node}", "before") for path in rounds]
    updates = [_found(folder, path.parent, path.stem) for path in rounds]
    lines = [
        "[target]",
        'loader = "update"',
        f"factory = {_toml(recording.factory)}",
        f"before = {befores[0]}" if len(rounds) == 1 else _listed("befores", befores),
        _listed("updates", updates),
        f"sidecar = {_toml(sidecar)}",
    ]
    if (batch := _batch(recording, folder)) is not None:
        lines.append(f"batch = {_path(folder, batch)}")
    if recording.shape is not None:
        lines.append(f"shape = {list(recording.shape)}")
    if recording.classes is not None:
        lines.append(f"classes = {recording.classes}")
    return lines


def _data(recording: Recording, folder: Path) -> list[str]:
    """Return ``[data]``: others, and where they are known the client's, which are all members."""
    if recording.others is None:
        return []
    modality = f"modality = {_toml(recording.modality)}"
    batch = _batch(recording, folder)
    if batch is None:
        return ["", "[data]", f"path = {_path(folder, recording.others)}", modality]
    path = folder / "data.npz"
    if not path.is_file():
        own, others = (read_npz(each, ("x", "y")) for each in (batch, recording.others))
        both = {name: np.concatenate([own[name], others[name]]) for name in ("x", "y")}
        members = np.arange(len(both["y"])) < len(own["y"])
        write_npz(path, **both, members=members)
    said = ['path = "data.npz"', 'members = "members"', 'sampling = "all"']
    return ["", "[data]", *said, modality]


def _batch(recording: Recording, folder: Path) -> Path | None:
    written = folder / "batch.npz"
    return written if written.is_file() else recording.batch


def _agreed(rounds: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return what is known of every round, and the same in all: a plan has one sidecar."""
    first, *others = rounds
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _listed(key: str, values: list[str]) -> str:
    return f"{key} = [\n" + "".join(f"    {value},\n" for value in values) + "]"


def _counted(n: int) -> str:
    return "1 round" if n == 1 else f"{n} rounds"


def _found(folder: Path, at: Path, *stems: str) -> str:
    files = (at / f"{stem}.{end}" for stem in stems for end in ("safetensors", "npz"))
    return _path(folder, next(file for file in files if file.is_file()))


def _path(folder: Path, path: Path) -> str:
    """Return a path as the plan says it, relative, so that all of it can be moved."""
    return _toml(Path(os.path.relpath(path, folder)).as_posix())


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix(_ROUND))


def _native(values: AnyArray) -> AnyArray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
