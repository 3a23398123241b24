"""What is to be recorded of Flower clients, and what audits of it are told."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import field, frozen

from leakpro_core.errors import BadValue, MissingFile
from leakpro_core.records import Disclosed


# Absolute, since workers of a simulation may be elsewhere.
def _absolute(path: str | Path) -> Path:
    return Path(path).absolute()


def _absolute_or_none(path: str | Path | None) -> Path | None:
    return None if path is None else _absolute(path)


def _all_absolute(paths: Iterable[str | Path]) -> tuple[Path, ...]:
    return tuple(_absolute(path) for path in paths)


def _of_a_plan(instance: object, attribute: object, text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadValue("tables of a recording", found=str(error), expected="TOML") from error


def _import_path(instance: object, attribute: object, ref: str) -> None:
    if not re.fullmatch(r"[\w.]+:\w+", ref):
        raise BadValue(
            "factory of a recording", found=repr(ref), expected="the form 'package.module:callable'"
        )


@frozen(kw_only=True)
class Recording:
    """What is recorded, where, and what its audit is told beside it.

    folder: where the files go; every training needs one of its own.
    factory: import path of a callable without arguments that returns the untrained ``nn.Module``,
    from a module that is installed or among ``code``.
    code: modules that factory and ``tables`` name and that are not installed; copied beside the
    plan.
    disclosed: what is known of the clients' training. Where it does not say, these are taken from
    the messages, if all rounds agree: examples, dtype, lr (from "lr" in the config that the server
    sends) and clip (from "clipping_norm").
    rounds: numbers of those that are recorded, from 1; None: all.
    arrays: key of the array record in messages; None: the only one, or else "arrays".
    batch: npz file with the records ``x`` and labels ``y`` that one client's updates are made of,
    where the audit may judge with it.
    others: npz file with ``x`` and ``y`` of records of the same source that no client trains on:
    a reconstruction must tell the client's from these. modality: of the records.
    shape: of a record, and classes: how many, where neither ``batch`` nor ``others`` says it.
    tables: further tables of the plan, in TOML, such as ``[[adversary]]``.
    Raises BadValue or MissingFile.
    """

    folder: Path = field(converter=_absolute)
    factory: str = field(validator=_import_path)
    code: tuple[Path, ...] = field(default=(), converter=_all_absolute)
    disclosed: Disclosed = Disclosed(kind="weights")
    rounds: Sequence[int] | None = None
    arrays: str | None = None
    batch: Path | None = field(default=None, converter=_absolute_or_none)
    others: Path | None = field(default=None, converter=_absolute_or_none)
    modality: str = "tabular"
    shape: tuple[int, ...] | None = None
    classes: int | None = None
    tables: str = field(default="", validator=_of_a_plan)

    def __attrs_post_init__(self) -> None:
        for path in (*self.code, self.batch, self.others):
            if path is not None and not path.is_file():
                raise MissingFile(f"file {str(path)!r} of a recording", found="no such file")
        if self.others is not None and "data" in tomllib.loads(self.tables):
            raise BadValue(
                "tables of a recording",
                found="[data] beside others",
                expected="either: others are written as [data]",
            )

    def keeps(self, number: int) -> bool:
        """Whether that round is recorded."""
        return self.rounds is None or number in self.rounds
