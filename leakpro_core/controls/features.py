"""What the blind adversary looks at: columns made from records and labels alone.

No column depends on the arms or on the model, so that one set of columns serves the real arms
and every permutation of them.
"""

from collections.abc import Iterator
from zlib import crc32

import numpy as np
from scipy.stats import rankdata

from leakpro_core.arrays import AnyArray, Ints, Singles
from leakpro_core.controls.ridge import predicted, prepared

WIDE = 512
"""Records of more columns than this are described by components and simple statistics."""

COMPONENTS = 64
TREES = 48
DEPTH = 4
STEPS = 256
CLASSES = 64
PRODUCTS = 640
WORDS = 512


def describe(
    records: AnyArray | None, labels: Ints, classes: int, *, modality: str, seed: int
) -> Singles:
    """Return columns float32 ``[n, p]``, centred, in blocks of equal weight; rows have mean norm 1.

    records: ``[n, ...]`` or None (then the labels are all that is described).
    Blocks: labels; the columns themselves (wide records: principal components and simple
    statistics); steps and bins at their quantiles; how easily the label follows from the record;
    products of two columns, and of a column and a class; leaves of random trees (Geurts 2006).
    """
    blocks = [_one_hot(labels, classes)]
    if records is not None:
        blocks += _of_records(records, labels, classes, blocks[0], modality, seed)
    scaled = [_unit(block) for block in blocks]
    kept = [block for block in scaled if block.shape[1]]
    if not kept:
        return np.zeros((len(labels), 1), np.float32)
    return np.hstack(kept) / np.float32(np.sqrt(len(kept)))


def numbers(records: AnyArray, modality: str = "tabular") -> Singles:
    """Return records as a float32 table ``[n, d]``.

    Text becomes counts of hashed tokens; columns of other things than numbers become one column
    a level; missing values become the column's median and a column that says so.
    """
    flat = records.reshape(len(records), -1)
    if modality == "text":
        return _bag(flat)
    if flat.dtype.kind in "biuf":
        return _filled(flat)
    parts = [_coded(flat[:, j]) for j in range(flat.shape[1])]
    return np.hstack(parts)


def standardised(columns: Singles) -> Singles:
    """Return the columns centred and scaled to variance 1; constant columns are left out."""
    spread = columns.std(axis=0, dtype=np.float64)
    mean = columns.mean(axis=0, dtype=np.float64)
    kept = spread > 1e-7 * (1.0 + np.abs(mean))
    result: Singles = columns[:, kept] - mean[kept].astype(np.float32)
    result /= spread[kept].astype(np.float32)
    return result


def components(columns: Singles, count: int, seed: int) -> Singles:
    """Return the first principal components ``[n, count]``, found on at most 4,000 rows."""
    from sklearn.utils.extmath import randomized_svd

    draw = np.random.default_rng(seed).permutation(len(columns))[:4000]
    centre = columns[draw].mean(axis=0, dtype=np.float64).astype(np.float32)
    rank = min(count, len(draw), columns.shape[1])
    _, _, axes = randomized_svd(columns[draw] - centre, rank, n_iter=2, random_state=seed)
    return np.vstack([(columns[b] - centre) @ axes.T for b in _rows(len(columns))]).astype(
        np.float32
    )


def moments(records: AnyArray) -> Singles:
    """Return simple statistics of each record: level, spread, extremes, roughness, channels."""
    return np.vstack([_moments(records[b].astype(np.float32)) for b in _rows(len(records))])


def easiness(columns: Singles, labels: Ints, classes: int, seed: int) -> Singles:
    """Return how well a linear model of the others' labels predicts a record's own, ``[n, 2]``.

    Margin of the true class and squared error, both out of fold. Members chosen because they are
    easy differ in this and in nothing else.
    """
    target = np.eye(classes, dtype=np.float32)[labels]
    target -= target.mean(axis=0)
    folds = np.random.default_rng([seed, 1]).integers(0, 5, len(labels))
    scores = predicted(columns, target, prepared(columns, folds, 10.0 + 0.01 * len(labels)))
    rows = np.arange(len(labels))
    own = scores[rows, labels].copy()
    error = ((scores - target) ** 2).sum(axis=1)
    scores[rows, labels] = -np.inf
    margin = own - scores.max(axis=1) if classes > 1 else own
    return np.stack([margin, error], axis=1)


def _rows(n: int, step: int = 2000) -> Iterator[slice]:
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def _one_hot(labels: Ints, classes: int) -> Singles:
    common = np.argsort(-np.bincount(labels, minlength=classes), kind="stable")[:CLASSES]
    return standardised((labels[:, None] == common).astype(np.float32))


def _unit(block: Singles) -> Singles:
    return block / np.float32(np.sqrt(max(1, block.shape[1])))


def _filled(flat: AnyArray) -> Singles:
    table = flat.astype(np.float32)
    missing = ~np.isfinite(table)
    if not missing.any():
        return table
    holes = np.flatnonzero(missing.any(axis=0))
    for j in holes:
        known = table[~missing[:, j], j]
        table[missing[:, j], j] = np.median(known) if known.size else 0.0
    return np.hstack([table, missing[:, holes].astype(np.float32)])


def _coded(column: AnyArray) -> Singles:
    try:
        return _filled(column.astype(np.float64)[:, None])
    except (TypeError, ValueError):
        _, codes, counts = np.unique(column.astype(str), return_inverse=True, return_counts=True)
        common = np.argsort(-counts, kind="stable")[:CLASSES]
        return np.asarray(codes[:, None] == common, np.float32)


def _bag(flat: AnyArray) -> Singles:
    counts = np.zeros((len(flat), WORDS), np.float32)
    if flat.dtype.kind in "iu":
        rows = np.repeat(np.arange(len(flat)), flat.shape[1])
        np.add.at(counts, (rows, flat.ravel() % WORDS), 1.0)
        return np.log1p(counts)
    for row, texts in enumerate(flat):
        for word in " ".join(map(str, texts)).lower().split():
            counts[row, crc32(word.encode()) % WORDS] += 1.0
    return np.log1p(counts)


def _moments(block: Singles) -> Singles:
    flat = block.reshape(len(block), -1)
    found = [flat.mean(axis=1), flat.std(axis=1), *np.quantile(flat, (0.0, 0.1, 0.5, 0.9, 1.0), 1)]
    for axis in range(1, block.ndim):
        steps = np.abs(np.diff(block, axis=axis)).reshape(len(block), -1)
        found.append(steps.mean(axis=1) if steps.shape[1] else np.zeros(len(block)))
        if block.shape[axis] <= 4:
            means = block.mean(axis=tuple(a for a in range(1, block.ndim) if a != axis))
            found.extend(means.T)
    return np.stack(found, axis=1).astype(np.float32)


def _of_records(
    records: AnyArray, labels: Ints, classes: int, class_columns: Singles, modality: str, seed: int
) -> list[Singles]:
    columns = numbers(records, modality)
    if columns.shape[1] > WIDE:
        simple = [moments(records)] if records.dtype.kind in "biuf" and modality != "text" else []
        columns = np.hstack([components(columns, COMPONENTS, seed), *simple])
    columns = standardised(columns)
    ease = standardised(easiness(columns, labels, classes, seed))
    many = columns[:, [_values(column) > 2 for column in columns.T]]
    steps = _steps(many)
    return [
        columns,
        steps,
        _bins(many),
        np.hstack([ease, _steps(ease)]),
        _by_class(columns, steps, class_columns),
        _by_pair(many),
        _leaves(np.hstack([columns, ease, class_columns]), seed),
    ]


def _steps(columns: Singles) -> Singles:
    """Return for each column steps at its quantiles: 1 above, 0 below."""
    if not columns.shape[1]:
        return columns
    count = int(np.clip(STEPS // columns.shape[1], 1, 15))
    above = columns[:, None, :] > _quantiles(columns, count)
    return standardised(above.reshape(len(columns), -1).astype(np.float32))


def _bins(columns: Singles) -> Singles:
    """Return for each column which fifth and which tenth a record lies in."""
    if not 0 < columns.shape[1] <= STEPS // 10:
        return columns[:, :0]
    blocks = []
    for count in (5, 10):
        code = (columns[:, None, :] > _quantiles(columns, count - 1)).sum(axis=1)
        inside = code[:, :, None] == np.arange(count)
        blocks.append(inside.reshape(len(columns), -1).astype(np.float32))
    return standardised(np.hstack(blocks))


def _by_pair(columns: Singles) -> Singles:
    """Return products of two columns' ranks, as far as they stay few."""
    first, second = np.triu_indices(columns.shape[1], 1)
    if not 0 < len(first) <= PRODUCTS:
        return columns[:, :0]
    ranks = standardised(rankdata(columns, axis=0).astype(np.float32))
    return standardised(ranks[:, first] * ranks[:, second])


def _quantiles(columns: Singles, count: int) -> Singles:
    """Return ``count`` inner quantiles of each column, ``[count, d]``."""
    inner = np.arange(1, count + 1) / (count + 1)
    return np.asarray(np.quantile(columns, inner, axis=0), np.float32)


def _by_class(columns: Singles, steps: Singles, classes: Singles) -> Singles:
    """Return products of columns and classes, as far as they stay few."""
    which = classes[:, 1:] if classes.shape[1] == 2 else classes
    for part in (np.hstack([columns, steps]), columns):
        if 0 < part.shape[1] * which.shape[1] <= PRODUCTS:
            products = part[:, :, None] * which[:, None, :]
            return standardised(products.reshape(len(part), -1))
    return columns[:, :0]


def _values(column: Singles) -> int:
    head = np.unique(column[:200]).size
    return head if head > 2 else int(np.unique(column).size)


def _leaves(columns: Singles, seed: int) -> Singles:
    from sklearn.ensemble import RandomTreesEmbedding

    trees = RandomTreesEmbedding(
        TREES, max_depth=DEPTH, sparse_output=False, random_state=seed, n_jobs=1
    )
    return standardised(trees.fit_transform(columns).astype(np.float32))
