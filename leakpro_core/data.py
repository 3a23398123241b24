"""The ``[data]`` table -> Population: the records that the game is played on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from leakpro_core import inputs
from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.errors import (
    BadArray,
    BadRecord,
    BadValue,
    LeakProError,
    MissingKey,
    NotAFactory,
    nearest,
)
from leakpro_core.plan import DataPlan
from leakpro_core.records import Auxiliary, Population
from leakpro_core.references import ImportPath
from leakpro_core.seeds import generator
from leakpro_core.wording import show

_TABLES = (".csv", ".parquet")


@frozen(kw_only=True)
class _Source:
    """What one file or factory holds; records is a table for csv and parquet."""

    records: Any
    labels: AnyArray
    members: AnyArray | None = None
    subjects: AnyArray | None = None


def load(data: DataPlan, *, draw_members: bool, seed: int) -> Population:
    """Return the population.

    draw_members: core draws who is a member, so the plan must not say it; else it must.
    seed: for the subjects set aside as auxiliary.

    Records of csv and parquet are all columns that are not named otherwise, encoded as
    ``tables.encode`` says; labels may be strings there, numbered in sorted order. Other labels
    are integers from 0, and the highest gives the number of classes. Without subjects each record
    is one. Auxiliary records are of subjects who have no candidate record.

    Raises MissingFile, UnsafeFile, MissingKey, BadValue, BadArray, BadRecord or NotAFactory.
    """
    _check_keys(data, draw_members)
    sources = [_source(data, data.path, members=data.members)]
    if data.auxiliary is not None:
        sources.append(_source(data, data.auxiliary, members=None))
    records = _records(data, sources)
    labels = _labels(data, sources)
    subjects = _subjects(sources, labels)
    n = len(labels[0])
    members = None
    if sources[0].members is not None:
        members = inputs.flags(sources[0].members, "[data] members", (n,))
        inputs.both_arms(members, "[data] members")
    for side in range(len(sources)):
        inputs.same_rows(records[side], "[data] records", len(labels[side]), "[data] labels")
        inputs.same_rows(subjects[side], "[data] subjects", len(labels[side]), "[data] labels")
    classes = int(max(each.max() for each in labels)) + 1
    if classes < 2:
        raise BadArray("[data] labels", found="class 0 only", expected="at least two classes")
    whole = Population(
        records=records[0],
        labels=labels[0],
        subjects=subjects[0],
        members=members,
        classes=classes,
        modality=data.modality,
        sampling=data.sampling,
    )
    if data.auxiliary is not None:
        _check_apart(subjects[0], subjects[1])
        return evolve(whole, auxiliary=Auxiliary(records=records[1], labels=labels[1]))
    if data.auxiliary_share > 0:
        return _set_aside(whole, data.auxiliary_share, seed)
    return whole


def _check_keys(data: DataPlan, draw_members: bool) -> None:
    if not data.given:
        raise MissingKey(
            "[data]",
            found="neither path nor factory",
            expected="one of them: this loader brings no records",
            fix='Add path = "..." with the records and labels.',
        )
    if draw_members and data.members is not None:
        raise BadValue(
            "[data] members",
            found=show(data.members),
            expected="no such key: core draws the members and trains the targets on them",
            fix="Remove it, or audit a model of your own with another loader.",
        )
    if not draw_members and data.members is None:
        raise MissingKey(
            "[data] members",
            found="nothing",
            expected="who was in the training data: the name or npy file of a bool array [n]",
            fix='Add it, or let core train the targets with loader = "trained".',
        )
    if data.auxiliary is not None and data.auxiliary == data.path:
        raise BadValue(
            "[data] auxiliary",
            found="the file of [data] path itself",
            expected="records that are certainly no members",
            fix="Name another file, or set some non-members aside with auxiliary_share.",
        )
    if data.auxiliary is not None and _npy_named(data):
        raise BadValue(
            "[data] auxiliary",
            found=f"a second file, but {', '.join(_npy_named(data))} from npy files",
            expected="the same names in both files",
            fix="Put the arrays into one npz file each.",
        )
    if data.auxiliary is not None and _is_table(data.path) != _is_table(data.auxiliary):
        raise BadValue(
            "[data] auxiliary",
            found=show(data.auxiliary.name),
            expected="a file of the same kind as the candidates'",
        )


def _npy_named(data: DataPlan) -> list[str]:
    named = {"labels": data.labels, "subjects": data.subjects, "records": data.records}
    named["path"] = str(data.path)
    return [key for key, name in named.items() if name is not None and name.endswith(".npy")]


def _is_table(path: Path | None) -> bool:
    return path is not None and path.suffix.lower() in _TABLES


# Reading.


def _source(data: DataPlan, path: Path | None, *, members: str | None) -> _Source:
    """Return what a file or the factory holds; members: None where nobody is one."""
    if data.factory is not None and path is None:
        where = f"what {data.factory.ref} returns"
        return _from_arrays(data, members, _called(data.factory), where)
    if path is None:
        raise MissingKey("[data] path", found="nothing", expected="a file")
    if _is_table(path):
        return _from_table(data, members, path)
    inputs.check_readable(path)
    if path.suffix.lower() == ".npy":
        _check_unnamed(data, "the npy file is the records")
        return _from_arrays(evolve(data, records=str(path)), members, {}, where="")
    if path.suffix.lower() != ".npz":
        raise BadValue(
            "[data] path", found=show(path.name), expected="an npz, npy, csv or parquet file"
        )
    names = inputs.npz_names(path)
    wanted = {data.records, data.labels, members, data.subjects}
    arrays = inputs.read_npz(path, [name for name in names if name in wanted])
    return _from_arrays(data, members, arrays, show(path.name), names)


def _from_arrays(
    data: DataPlan,
    members: str | None,
    arrays: Mapping[str, AnyArray],
    where: str,
    names: Sequence[str] = (),
) -> _Source:
    def named(key: str, name: str) -> AnyArray:
        if name.endswith(".npy"):
            return inputs.read_npy(Path(name))
        if name not in arrays:
            if not where:
                raise _beside_npy(key, name)
            raise _no_such(key, f"array {show(name)} in {where}", name, names or list(arrays))
        return arrays[name]

    return _Source(
        records=named("records", data.records),
        labels=named("labels", data.labels),
        members=None if members is None else named("members", members),
        subjects=None if data.subjects is None else named("subjects", data.subjects),
    )


def _from_table(data: DataPlan, members: str | None, path: Path) -> _Source:
    from leakpro_core import tables

    _check_unnamed(
        data, f"every column of a {path.suffix[1:]} file that is not named is a record's"
    )
    table = tables.read_table(path)

    def named(key: str, name: str) -> AnyArray:
        if name.endswith(".npy"):
            return inputs.read_npy(Path(name))
        if name not in table.column_names:
            what = f"column {show(name)} in {show(path.name)}"
            raise _no_such(key, what, name, table.column_names)
        return tables.column(table, name, f"[data] {key}")

    used = {data.labels, data.members, data.subjects}
    return _Source(
        records=table.select([name for name in table.column_names if name not in used]),
        labels=named("labels", data.labels),
        members=None if members is None else named("members", members),
        subjects=None if data.subjects is None else named("subjects", data.subjects),
    )


def _check_unnamed(data: DataPlan, why: str) -> None:
    if data.records != DataPlan().records:
        raise BadValue("[data] records", found=show(data.records), expected=f"no such key: {why}")


def _no_such(key: str, what: str, name: str, names: Sequence[str]) -> LeakProError:
    return MissingKey(f"[data] {key}", found=f"no {what}", fix=nearest(name, list(names)))


def _beside_npy(key: str, name: str) -> LeakProError:
    return MissingKey(
        f"[data] {key}",
        found=show(name),
        expected="an npy file, as [data] path is one",
        fix=f'Write {key} = "{name}.npy", or put the arrays into one npz file.',
    )


def _called(factory: ImportPath) -> Mapping[str, AnyArray]:
    what = f"[data] factory {show(factory.ref)}"
    try:
        result = factory.call()
    except LeakProError:
        raise
    except Exception as error:  # the user's own code may raise anything
        reason = " ".join(str(error).split())
        raise NotAFactory(
            what, found=f"{type(error).__name__}: {reason}", expected="a mapping of arrays"
        ) from error
    if not isinstance(result, Mapping):
        raise NotAFactory(what, found=type(result).__name__, expected="a mapping of arrays")
    for name, value in result.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise NotAFactory(
                what,
                found=f"{type(value).__name__} under {show(str(name))}",
                expected="a mapping of names to numpy arrays",
            )
    return result


# Candidates and auxiliary records together, so that both are coded alike.


def _records(data: DataPlan, sources: Sequence[_Source]) -> list[AnyArray]:
    if _is_table(data.path):
        from leakpro_core import tables

        return list(tables.encode([source.records for source in sources]))
    checked = [inputs.records(source.records, "[data] records") for source in sources]
    for auxiliary in checked[1:]:
        inputs.same_form(auxiliary, "records of [data] auxiliary", checked[0], "[data] records")
    return checked


def _labels(data: DataPlan, sources: Sequence[_Source]) -> list[Ints]:
    raw = [source.labels for source in sources]
    if _is_table(data.path) and all(each.ndim == 1 and each.dtype.kind in "Ub" for each in raw):
        return _numbered(raw)
    return [inputs.labels(each, "[data] labels") for each in raw]


def _subjects(sources: Sequence[_Source], labels: Sequence[Ints]) -> list[Ints]:
    given = [source.subjects for source in sources if source.subjects is not None]
    if not given:
        rows = np.arange(sum(map(len, labels)))
        return _split(rows, labels)
    checked = [inputs.subjects(each, "[data] subjects") for each in given]
    # Strings are numbered over both files, or one number would mean two people.
    return _numbered(given) if any(each.dtype.kind == "U" for each in given) else checked


def _numbered(values: Sequence[AnyArray]) -> list[Ints]:
    codes = np.unique(np.concatenate(values), return_inverse=True)[1]
    return _split(codes.astype(np.int64), values)


def _split(values: Ints, like: Sequence[AnyArray]) -> list[Ints]:
    return list(np.split(values, np.cumsum([len(each) for each in like])[:-1]))


def _check_apart(candidates: Ints, auxiliary: Ints) -> None:
    shared = np.isin(auxiliary, candidates)
    if shared.any():
        raise BadRecord(
            f"[data] auxiliary, subject of record {int(shared.argmax())}",
            found="a subject who has a candidate record too",
            expected="other people than the candidates",
            fix="Move all records of a subject into one of the files.",
        )


def _set_aside(whole: Population, share: float, seed: int) -> Population:
    """Return the population with a share of the subjects without a member record as auxiliary."""
    free = np.unique(whole.subjects)
    if whole.members is not None:
        free = np.setdiff1d(free, whole.subjects[whole.members])
    count = int(share * len(free))
    if count == 0:
        raise BadValue(
            "[data] auxiliary_share",
            found=f"{share}, which is nobody of {len(free)} subjects without a member record",
            expected="at least one subject",
        )
    chosen = generator(seed, "auxiliary").choice(free, count, replace=False)
    aside = np.isin(whole.subjects, chosen)
    records: AnyArray = np.asarray(whole.records)
    return evolve(
        whole,
        records=records[~aside],
        labels=whole.labels[~aside],
        subjects=whole.subjects[~aside],
        members=None if whole.members is None else whole.members[~aside],
        auxiliary=Auxiliary(records=records[aside], labels=whole.labels[aside]),
    )
