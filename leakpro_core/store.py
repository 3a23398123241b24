"""The run folder: plan.json, signals/, answers/, evidence/, report.json, SHA256SUMS, log.jsonl.

Signals and answers are content-addressed: a file's name is the SHA-256 of its bytes, so a damaged
file is noticed. SHA256SUMS is written last: a run is finished when every file that it lists is
there and whole. Everything is written to a temporary name and renamed into place.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import cattrs
import numpy as np
from attrs import fields, frozen

from leakpro_core.errors import DamagedFile, MissingFile, RunFolderTaken
from leakpro_core.files import TEMPORARY, Shelf, lock, sha256, sweep, write_atomic
from leakpro_core.records import Arm, Evidence, Trial
from leakpro_core.report import RiskReport, from_json, to_json

SUMS, LOCK = "SHA256SUMS", ".lock"

EXHIBITS = "exhibits"
"""Pages about people, apart from the report: whoever may not keep them can delete them."""

_PARTS = ("signals", "answers", "evidence")


def evidence_hash(evidence: Evidence) -> str:
    """Return the SHA-256 over the bytes of the columns, in their declared order."""
    digest = hashlib.sha256()
    for attribute in fields(Evidence):
        column = getattr(evidence, attribute.name)
        if column is None:
            continue
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
        path, found = folder / "plan.json", _foreign(folder)
        if path.exists():
            found = _other(path, plan)
            if found and _worthless(folder):
                path.unlink()
                found = ""
        _refuse(folder, found)
        _make(folder)
        # First of all: a folder without it is somebody else's.
        if not path.exists():
            _write_json(path, plan)
        for part in _PARTS:
            _make(folder / part)
        return cls(folder)

    @property
    def signals(self) -> Shelf:
        """What is kept of models, by unit of training."""
        return Shelf(self.folder / "signals")

    @property
    def answers(self) -> Shelf:
        """What attacks answered, by attack and adversary."""
        return Shelf(self.folder / "answers")

    def settled(self) -> Trial | None:
        """Return how cohorts are trained, as ``plan.json`` says; None where nothing is settled."""
        path = self.folder / "plan.json"
        found = json.loads(path.read_bytes()).get("training")
        if found is None:
            return None
        try:
            return cattrs.Converter(forbid_extra_keys=True).structure(found, Trial)
        except Exception as error:  # cattrs gathers errors of many classes
            raise DamagedFile(
                f"file {path}",
                found="a training table that LeakPro did not write",
                fix="Choose another --out, or delete the folder.",
            ) from error

    def settle(self, trial: Trial) -> None:
        """Write into ``plan.json`` how cohorts are trained, before the first of them is."""
        self._add("training", cattrs.unstructure(trial))

    def expect(self, loaded: str) -> None:
        """Note the hash of what was loaded; ``RunFolderTaken`` where it was another before.

        Most of it stands in the plan's own hash; what a factory returns does not.
        """
        path = self.folder / "plan.json"
        before = json.loads(path.read_bytes()).get("loaded")
        if before is None:
            self._add("loaded", loaded)
        elif before != loaded:
            _refuse(self.folder, "the run of this plan before its factory returned other data")

    def _add(self, key: str, value: object) -> None:
        path = self.folder / "plan.json"
        _write_json(path, json.loads(path.read_bytes()) | {key: value})

    def write_evidence(self, name: str, evidence: Evidence) -> str:
        """Write ``evidence/<name>.parquet``; return the evidence's hash."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        digest = evidence_hash(evidence)
        arms = np.where(evidence.exposed, Arm.EXPOSED.value, Arm.CONTROL.value)
        table = pa.table(
            {
                "round": np.arange(len(evidence.exposed))
                if evidence.round is None
                else evidence.round,
                **({} if evidence.facet is None else {"facet": evidence.facet}),
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

    def seal(self) -> None:
        """Write SHA256SUMS, as ``sha256sum --check`` reads it: the run is finished."""
        lines = [f"{sha256(self.folder / name)}  {name}\n" for name in _sealed(self.folder)]
        write_atomic(self.folder / SUMS, "".join(lines).encode())

    def finished(self) -> RiskReport | None:
        """Return the report of a finished run; None where it is not, or a file was damaged."""
        sums = self.folder / SUMS
        if not sums.exists() or damaged(self.folder) is not None:
            sums.unlink(missing_ok=True)
            return None
        return read_report(self.folder)


@contextmanager
def at_work(folder: Path, plan: Mapping[str, object]) -> Iterator[Store]:
    """Yield the store of a run, which nobody else may work in meanwhile.

    What a killed run left half written is deleted. ``RunFolderTaken`` where the folder holds
    another audit, or another process is at work in it.
    """
    _refuse(folder, _foreign(folder))
    _make(folder)
    # Before anything in it is read or written, or two audits could each believe it theirs.
    with _lock_of(folder) as file:
        if file is not None and not lock(file):
            raise RunFolderTaken(
                f"folder {folder}",
                found="another audit at work in it",
                expected="one at a time",
                fix="Wait until it ends, or choose another --out.",
            )
        store = Store.open(folder, plan)
        for place in (folder, *(folder / part for part in (*_PARTS, EXHIBITS))):
            sweep(place)
        yield store


def _lock_of(folder: Path) -> AbstractContextManager[IO[str] | None]:
    try:
        return (folder / LOCK).open("w")
    except OSError:  # a finished run can be read back from a disk that cannot be written
        return nullcontext()


def _refuse(folder: Path, found: str) -> None:
    if found:
        raise RunFolderTaken(
            f"folder {folder}",
            found=found,
            expected="an empty folder or a run of the same plan",
            fix="Choose another --out, or delete it.",
        )


def _foreign(folder: Path) -> str:
    """Return what is there if it is no run, or nothing."""
    if folder.exists() and not folder.is_dir():
        return "a file"
    if not folder.exists() or (folder / "plan.json").exists():
        return ""
    left = [p for p in folder.iterdir() if p.name != LOCK and p.suffix != TEMPORARY]
    return "files that are no run" if left else ""


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingFile(
            f"cannot create {folder}",
            found=error.strerror or str(error),
            fix="Choose another --out.",
        ) from error


def damaged(folder: Path) -> str | None:
    """Return the first file of a finished run that is missing or not what SHA256SUMS says."""
    lines = (folder / SUMS).read_text("utf-8", errors="replace").splitlines()
    said = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = _sealed(folder)
    for name in sorted({*said, *files}):
        if name not in files and Path(name).parent == Path(EXHIBITS):
            continue  # deleted on purpose
        # A name that is no file of a run is damage, and is not even looked at.
        if name not in files or sha256(folder / name) != said.get(name):
            return name
    return None


def _sealed(folder: Path) -> list[str]:
    """Return the files that SHA256SUMS lists."""
    evidence = sorted((folder / "evidence").glob("*.parquet"))
    pages = sorted((folder / EXHIBITS).glob("*.html"))
    return ["plan.json", "report.json", *(str(p.relative_to(folder)) for p in (*evidence, *pages))]


def _write_json(path: Path, plan: Mapping[str, object]) -> None:
    write_atomic(path, (json.dumps(plan, indent=2) + "\n").encode())


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
    if known.get("versions") != plan.get("versions"):
        return "the run of this plan with other versions of the libraries"
    return "the run of this plan by its plugins before they were changed or approved"


def _inputs(plan: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the files that a plan depends on, with their hashes."""
    inputs: Mapping[str, str] = plan.get("inputs", {})
    return set(inputs.items())


def _worthless(folder: Path) -> bool:
    """Whether a run ended before it finished anything, by a mistake in its plan, say."""
    finished = [folder / "report.json", *folder.glob("*/*.json"), *folder.glob("evidence/*")]
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
    bad = damaged(folder) if (folder / SUMS).is_file() else None
    if bad is not None:
        raise DamagedFile(
            f"file {folder / bad}",
            expected=f"the SHA-256 that {SUMS} notes",
            fix="Run leakpro audit again: it makes anew what is damaged.",
        )
    return from_json(path.read_bytes(), str(path))
