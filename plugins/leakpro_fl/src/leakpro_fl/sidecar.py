"""What was disclosed of an update: keys of the plan and of a file beside it."""

import json
import tomllib
from pathlib import Path
from typing import Any

from leakpro_core.errors import BadValue, DuplicateName, MissingFile, MissingKey
from leakpro_core.options import build
from leakpro_core.records import Disclosed
from leakpro_core.wording import show
from leakpro_fl.options import SAID, ReceivedOptions


def disclosed_by(options: ReceivedOptions) -> Disclosed:
    """Return what the sidecar and the plan say together; a key in both is a ``DuplicateName``."""
    here = {name: getattr(options, name) for name in SAID if getattr(options, name) is not None}
    there: dict[str, Any] = {}
    where = "[target]"
    if options.sidecar is not None:
        where = f"sidecar {options.sidecar.name}"
        there = _sidecar(options.sidecar)
    twice = [name for name in there if name in here]
    if twice:
        raise DuplicateName(
            f"key {twice[0]!r}",
            found=f"{show(there[twice[0]])} in {where} and {show(here[twice[0]])} in [target]",
            expected="it in one of them",
            fix="Remove it from the plan, or from the sidecar.",
        )
    given = {name: list(v) if isinstance(v, tuple) else v for name, v in here.items()} | there
    if "kind" not in given:
        raise MissingKey(
            f"{where} kind",
            found="nothing",
            expected='"gradient", "delta" or "weights": what the client sent',
            fix="Say it in the plan's [target] or in the sidecar.",
        )
    return build(Disclosed, given, at=where, folder=Path())


def _sidecar(path: Path) -> dict[str, Any]:
    """Return the keys of a JSON or TOML file; null is a key that is not there."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingFile(f"sidecar {show(path)}", found=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise BadValue(
            f"sidecar {path.name}", found="bytes that are no text", expected="JSON or TOML in UTF-8"
        ) from error
    toml = path.suffix.lower() == ".toml"
    try:
        found = tomllib.loads(text) if toml else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadValue(
            f"sidecar {path.name}",
            found=f"{'an empty file' if not text.strip() else str(error)}",
            expected="TOML" if toml else "JSON (or TOML in a file named .toml)",
        ) from error
    if not isinstance(found, dict):
        raise BadValue(
            f"sidecar {path.name}",
            found=f"a value of type {type(found).__name__}",
            expected='an object, such as {"kind": "gradient"}',
        )
    return {key: value for key, value in found.items() if value is not None}
