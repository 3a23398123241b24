"""The run folder: plan.json, signals/, evidence/, report.json, log.jsonl.

Signals are content-addressed: a file's name is the SHA-256 of its bytes, so a damaged file is
noticed. Everything is written to a temporary name and renamed into place.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import fields, frozen

from leakpro_core.arrays import AnyArray
from leakpro_core.errors import CannotWrite, DamagedFile, MissingFile, RunFolderTaken
from leakpro_core.records import Arm, Evidence
from leakpro_core.report import RiskReport, from_json, to_json


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` never holds a part of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CannotWrite(
            f"file {path}",
            found=error.strerror or str(error),
            fix="Free space and give the same command again: what is finished is kept.",
        ) from error


def save_array(folder: Path, values: AnyArray) -> str:
    """Write an array into ``folder`` under the SHA-256 of the file's bytes; return that name."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    data = buffer.getvalue()
    name = hashlib.sha256(data).hexdigest()
    # Even where the file is there already: it may be damaged, and is whole afterwards.
    write_atomic(folder / f"{name}.npy", data)
    return name


def load_array(folder: Path, name: str) -> AnyArray:
    """Return an array that ``save_array`` wrote; ``DamagedFile`` if its bytes changed."""
    path = folder / f"{name}.npy"
    data = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != name:
        raise DamagedFile(
            f"file {path}", expected=f"SHA-256 {name[:12]}…", fix="Give the same command again."
        )
    result: AnyArray = np.load(io.BytesIO(data), allow_pickle=False)
    return result


def evidence_hash(evidence: Evidence) -> str:
    """Return the SHA-256 over the bytes of the columns, in their declared order."""
    digest = hashlib.sha256()
    for attribute in fields(Evidence):
        column = getattr(evidence, attribute.name)
        digest.update(f"{attribute.name} {column.dtype} {len(column)}\n".encode())
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


@frozen
class Store:
    """One run folder."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, plan: Mapping[str, object]) -> "Store":
        """Create the folder or continue in it; ``RunFolderTaken`` if it holds another audit."""
        path, found = folder / "plan.json", ""
        if folder.exists() and not folder.is_dir():
            found = "a file"
        elif path.exists():
            found = _other(path, plan)
            if found and _worthless(folder):
                path.unlink()
                found = ""
        elif folder.exists() and any(folder.iterdir()):
            found = "files that are no run"
        if found:
            raise RunFolderTaken(
                f"folder {folder}",
                found=found,
                expected="an empty folder or a run of the same plan",
                fix="Choose another --out, or delete it.",
            )
        try:
            for part in ("signals", "evidence"):
                (folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MissingFile(
                f"cannot create {folder}",
                found=error.strerror or str(error),
                fix="Choose another --out.",
            ) from error
        store = cls(folder)
        if not path.exists():
            write_atomic(path, (json.dumps(plan, indent=2) + "\n").encode())
        return store

    @property
    def signals(self) -> Path:
        """The folder of the signals."""
        return self.folder / "signals"

    def recall(self, key: str) -> dict[str, str] | None:
        """Return the names noted under ``key`` if every file of them is there and undamaged."""
        path = self.signals / f"{key}.json"
        if not path.exists():
            return None
        try:
            names = json.loads(path.read_bytes())
            if not isinstance(names, dict):
                return None
            for name in names.values():
                load_array(self.signals, name)
        except (ValueError, DamagedFile):
            return None
        return names

    def note(self, key: str, names: Mapping[str, str]) -> None:
        """Note that the unit ``key`` is finished and which files hold its signals."""
        write_atomic(self.signals / f"{key}.json", json.dumps(dict(names), indent=1).encode())

    def write_evidence(self, name: str, evidence: Evidence) -> str:
        """Write ``evidence/<name>.parquet``; return the evidence's hash."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        digest = evidence_hash(evidence)
        arms = np.where(evidence.exposed, Arm.EXPOSED.value, Arm.CONTROL.value)
        table = pa.table(
            {
                "round": np.arange(len(evidence.exposed)),
                "subject": evidence.subject,
                "cluster": evidence.cluster,
                "arm": pa.array(arms).dictionary_encode(),
                **{
                    column: getattr(evidence, column)
                    for column in ("claim", "hit", "blind_claim", "blind_hit", "null_p")
                },
            },
            metadata={"leakpro_evidence_sha256": digest, "contains": "personal data"},
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        write_atomic(self.folder / "evidence" / f"{name}.parquet", sink.getvalue().to_pybytes())
        return digest

    def write_report(self, report: RiskReport) -> Path:
        """Write report.json."""
        path = self.folder / "report.json"
        write_atomic(path, to_json(report).encode())
        return path

    def finished(self) -> RiskReport | None:
        """Return the report of a finished run."""
        return read_report(self.folder) if (self.folder / "report.json").exists() else None


def _other(path: Path, plan: Mapping[str, object]) -> str:
    """Return what run the plan.json at ``path`` is of, or nothing where it is the plan's own."""
    try:
        known = json.loads(path.read_bytes())
    except ValueError:
        known = None
    if not isinstance(known, dict):
        return "a damaged plan.json"
    if known.get("sha256") == plan["sha256"]:
        return ""
    if "plan_sha256" not in plan or known.get("plan_sha256") != plan["plan_sha256"]:
        return "the run of another plan, or of this plan before it was changed"
    files = _inputs(known) ^ _inputs(plan)
    changed = sorted({Path(path).name for path, _ in files})
    if changed:
        return f"the run of this plan before {', '.join(changed[:3])} changed"
    return "the run of this plan by its plugins before they were changed or approved"


def _inputs(plan: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the files that a plan depends on, with their hashes."""
    inputs: Mapping[str, str] = plan.get("inputs", {})
    return set(inputs.items())


def _worthless(folder: Path) -> bool:
    """Whether a run ended before it finished anything, by a mistake in its plan, say."""
    finished = [folder / "report.json", *folder.glob("signals/*.json"), *folder.glob("evidence/*")]
    return not any(path.exists() for path in finished)


def registry_of(folder: Path) -> Path | None:
    """Return the registry by which the plugins of the run in ``folder`` were vetted."""
    try:
        known = json.loads((folder / "plan.json").read_bytes()).get("registry")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedFile(f"file {folder / 'plan.json'}", found=str(error)) from error
    return None if known is None else Path(str(known))


def read_report(folder: Path) -> RiskReport:
    """Return the report of the run in ``folder``; ``MissingFile`` if there is none."""
    path = folder / "report.json"
    if not path.is_file():
        raise MissingFile(
            f"no report in {folder}",
            expected="a run folder with a report.json",
            fix="Run leakpro audit first.",
        )
    return from_json(path.read_bytes(), str(path))
