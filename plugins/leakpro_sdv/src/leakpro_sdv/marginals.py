"""Shares of a record's cells in low-order marginals (Golob, Pentyala, Maratkhan, De Cock 2025).

Generators as MST, AIM and PrivBayes copy a few marginals of two or three columns from the people
in the data. The paper's MAMA-MIA guesses which, and adds up, over them, the ratios of the released
share of a record's cell to its auxiliary share. Here the marginals lie along the spanning tree of
most mutual information of the released rows (Chow, Liu 1968), as MST and PrivBayes choose theirs,
and what is added up are logarithms of likelihood ratios.

Of a marginal that is copied from n people, with c of them in the record's cell and the population
share p, the ratio is exact: ``P(1 + Binomial(n - 1, p) = c) / P(Binomial(n, p) = c) = c / (n p)``.
Neither c nor p is known, and estimates stand for them: see ``log_ratio``.

Chosen by what it finds. Trees fitted on 200 rows of Adult that release 200 or 2,000 rows, AUC of
marginals of two columns: sums of the paper's ratios .665 and .765, logarithms of smoothed shares
.617 and .782, logarithms of these estimates .678 and .798. Weights by mutual information: .676 and
.769; all pairs of columns in the place of the tree's: .569 and .646. What ``order`` and ``bins``
do is in bench/marginal_generators.py.
"""

from collections.abc import Sequence

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import Floats, Ints
from leakpro_core.errors import NotApplicable
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.table import Column, Table
from leakpro_sdv.scores import auxiliary_rows, released_rows

_ADDED = 0.1
"""Of a person, added to every cell: those that no row is in have a share too."""

_ROWS, _LEAST, _WORK = 20_000, 1_000, 100_000_000
"""Released rows that mutual information is counted on: at most, at least, and times pairs."""


@frozen(kw_only=True)
class MarginalsOptions:
    """Options of ``marginals``.

    order: columns of a marginal; bins: of about as many rows each into which numbers are cut,
    besides a cell of its own for every number that a bin's share of the rows has.
    """

    order: int = field(default=3, validator=[validators.ge(1), validators.le(3)])
    bins: int = field(default=10, validator=validators.ge(2))


def attack(challenge: SamplesChallenge, options: MarginalsOptions, run: Run) -> MembershipAnswer:
    """Claim the sum of log-likelihood ratios. ``NotApplicable`` without rows or columns."""
    released, auxiliary = released_rows(challenge), auxiliary_rows(challenge)
    if not released.columns:
        raise NotApplicable("columns to compare", found="none", expected="at least one")
    tables = challenge.records, released, auxiliary
    asked, shown, known = cells(tables, options.bins)
    claims = np.zeros(len(challenge.records))
    for chosen in marginals(shown, options.order, run.seed):
        claims += _claims(asked[chosen], shown[chosen], known[chosen])
    return MembershipAnswer(claims=claims)


def log_ratio(shown: Floats, released: int, known: Floats, auxiliary: int) -> Floats:
    """Return the logarithm of the estimate of ``c / n`` less that of ``p``, ``[cells]``.

    shown: ``[cells]``, how many of the released rows are in them; known: of the auxiliary rows.
    The n people behind the release are taken to be as many as the released rows, and no more than
    the auxiliary ones: knowing n adds .01 to the AUC at most. Given p, c has the mean and about
    the variance ``n p``; given c, about ``c released / n`` released rows are in the cell, give or
    take their root. So ``c / n`` is estimated by the released share and p, weighted as released to
    n, the best that is linear in the share; means over all c gain no more than .006 in AUC. Of the
    population the released rows say as much as ``n released / (n + released)`` people would.
    """
    n = min(released, auxiliary)
    worth = n * released / (n + released)
    share = shown / released
    p = (known + worth * share + _ADDED) / (auxiliary + worth + _ADDED)
    return np.asarray(np.log((released * share + n * p) / (released + n) / p))


def cells(tables: Sequence[Table], bins: int) -> list[Ints]:
    """Return the cell of each value, ``[columns, rows]`` a table; 0 where it is missing.

    tables: the candidates, the released and the auxiliary rows; the latter two set the bins.
    """
    found = [np.zeros((len(t.columns), len(t)), np.int64) for t in tables]
    for j, column in enumerate(tables[0].columns):
        cut = _edges([t.values[j] for t in tables[1:]], bins) if column.measured else None
        for table, codes in zip(tables, found, strict=True):
            codes[j] = _cell(column, table.values[j], cut)
    return found


def marginals(shown: Ints, order: int, seed: int) -> list[list[int]]:
    """Return the columns of each marginal: every one, branches of the tree, or pairs of branches.

    shown: ``[columns, released]``, cells. Around a column each branch is paired with the next, in
    the order of mutual information: two marginals a column on average at most, where all pairs of
    branches may be thousands and find no more. Fewer columns than ``order`` are one marginal.
    """
    n = len(shown)
    if min(order, n) == 1:
        return [[j] for j in range(n)]
    information = mutual_information(shown, seed)
    branches = spanning_tree(information)
    if min(order, n) == 2:
        return [list(branch) for branch in branches]
    found = []
    for j in range(n):
        ends = [a + b - j for a, b in branches if j in (a, b)]
        ends.sort(key=lambda end: -information[j, end])
        nexts = ends[1:] + ends[:1] if len(ends) > 2 else ends[1:]
        found += [[j, a, b] for a, b in zip(ends, nexts, strict=False)]
    return found


def mutual_information(shown: Ints, seed: int) -> Floats:
    """Return ``[columns, columns]``, in nats, of cells ``[columns, released]``.

    On ``_ROWS`` released rows at most, drawn at random, and fewer where there are many columns.
    """
    columns, released = shown.shape
    most = max(_LEAST, min(_ROWS, 2 * _WORK // columns**2))
    if released > most:
        shown = shown[:, np.random.default_rng(seed).choice(released, most, replace=False)]
    own = _entropies(shown)
    found = np.zeros((columns, columns))
    for j in range(columns - 1):
        size = shown[j + 1 :].max(axis=1, keepdims=True) + 1
        joint = _entropies(shown[j] * size + shown[j + 1 :])
        found[j, j + 1 :] = found[j + 1 :, j] = own[j] + own[j + 1 :] - joint
    return found


def spanning_tree(weight: Floats) -> list[tuple[int, int]]:
    """Return the branches of the spanning tree of most weight (Prim), of ``[n, n]`` weights."""
    n = len(weight)
    branches = []
    left = np.arange(n) > 0
    best, via = weight[0].copy(), np.zeros(n, np.int64)
    for _ in range(n - 1):
        j = int(np.argmax(np.where(left, best, -np.inf)))
        branches.append((int(via[j]), j))
        left[j] = False
        nearer = weight[j] > best
        best[nearer], via[nearer] = weight[j][nearer], j
    return branches


def _claims(asked: Ints, shown: Ints, known: Ints) -> Floats:
    """Return ``[queries]`` of one marginal, from cells ``[columns, rows]``."""
    sizes = 1 + np.max([part.max(axis=1, initial=0) for part in (asked, shown, known)], axis=0)
    own, place = np.unique(_codes(asked, sizes), return_inverse=True)
    counted = [_counted(own, _codes(part, sizes)) for part in (shown, known)]
    return log_ratio(counted[0], shown.shape[1], counted[1], known.shape[1])[place]


def _codes(parts: Ints, sizes: Ints) -> Ints:
    """Return a number for each cell of the marginal, int64 ``[rows]``."""
    codes: Ints = parts[0]
    for size, part in zip(sizes[1:], parts[1:], strict=True):
        codes = codes * size + part
    return codes


def _counted(wanted: Ints, codes: Ints) -> Floats:
    """Return how many of the codes are each of those wanted, which are distinct and ascending."""
    at = np.minimum(np.searchsorted(wanted, codes), len(wanted) - 1)
    return np.bincount(at[wanted[at] == codes], minlength=len(wanted)).astype(np.float64)


def _entropies(codes: Ints) -> Floats:
    """Return the entropy of each row of ``[k, n]`` codes, in nats, float64 ``[k]``."""
    n = codes.shape[1]
    order = np.sort(codes, axis=1)
    first = np.ones(order.shape, np.bool_)
    first[:, 1:] = order[:, 1:] != order[:, :-1]
    begin = np.flatnonzero(first)
    count = np.diff(begin, append=order.size)
    total = np.bincount(begin // n, weights=count * np.log(count), minlength=len(codes))
    return np.asarray(np.log(n) - total / n)


def _cell(column: Column, values: Floats | Ints, cut: Floats | None) -> Ints:
    if cut is None:
        return np.asarray(values, np.int64) + 1
    found = np.searchsorted(cut, values, "right") + 1
    found[np.isnan(values)] = 0
    return found


def _edges(parts: Sequence[Floats], bins: int) -> Floats:
    """Return the lower ends of bins but the first, ascending; tables count as much as each other.

    A number that a bin's share of the rows has gets a cell of its own.
    """
    present = [part[~np.isnan(part)] for part in parts]
    each = [np.unique(part, return_counts=True) for part in present if len(part)]
    if not each:
        return np.zeros(0)
    numbers = np.unique(np.concatenate([found for found, _ in each]))
    share = np.zeros(len(numbers))
    for found, count in each:
        share[np.searchsorted(numbers, found)] += count / count.sum() / len(each)
    # Sums that are a quantile but for rounding are that quantile.
    below = np.searchsorted(np.cumsum(share), np.arange(1, bins) / bins - 1e-9)
    often = numbers[share >= 1 / bins - 1e-9]
    return np.unique(np.concatenate([numbers[below], often, np.nextafter(often, np.inf)]))
