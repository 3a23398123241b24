"""Figures that the documentation quotes, kept beside the hash of the code that was measured.

``bench/results/<name>.json`` holds the figures of one script, the patterns of the source files
that they depend on and one SHA-256 over those files. A figure whose code has changed since is
stale; a fast test of every script asserts that it is not.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def code_hash(paths: Sequence[str]) -> str:
    """Return one SHA-256 over the files that the patterns match.

    paths: names or glob patterns relative to the root of the tree. Hashed are the sorted lines
    ``<sha256 of file>  <path>``, so a new, renamed or removed file counts as a change.
    ``FileNotFoundError`` where a pattern matches nothing.
    """
    files: set[Path] = set()
    for pattern in paths:
        matched = [path for path in ROOT.glob(pattern) if path.is_file()]
        if not matched:
            raise FileNotFoundError(f"no file matches {pattern!r} under {ROOT}")
        files.update(matched)
    lines = sorted(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT).as_posix()}"
        for path in files
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write(name: str, figures: Mapping[str, object], paths: Sequence[str]) -> Path:
    """Write ``bench/results/<name>.json`` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    content = {"code_sha256": code_hash(paths), "code": sorted(paths), "figures": figures}
    target.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    return target


def stale(name: str) -> str | None:
    """Return None if the figures belong to the code as it is now, else a sentence that says why."""
    target = RESULTS / f"{name}.json"
    if not target.exists():
        return f"{target.relative_to(ROOT)} does not exist; run `make evidence`"
    content = json.loads(target.read_text())
    if code_hash(content["code"]) == content["code_sha256"]:
        return None
    return f"the code behind {target.relative_to(ROOT)} has changed; run `make evidence`"
