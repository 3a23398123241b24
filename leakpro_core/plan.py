"""The plan: what is audited, by whom, with what. ``parser.py`` reads it from ``audit.toml``."""

import re
from collections.abc import Mapping
from pathlib import Path

from attrs import Factory, field, frozen, validators

from leakpro_core.offers import (
    Access,
    AttackOffer,
    ExecutorOffer,
    LoaderOffer,
    ReporterOffer,
    TrainerOffer,
)
from leakpro_core.plugins import Offered
from leakpro_core.references import ImportPath

KNOWLEDGE = ("candidate records", "auxiliary population", "architecture", "recipe")
"""What a membership adversary may know. Without "candidate records" it sees labels and outputs
only; without "auxiliary population" it has no auxiliary records; without "architecture" or
"recipe" it cannot train shadows."""

OF_CLIENTS = (
    "labels",
    "batch size",
    "hyper-parameters",
    "batch-norm statistics",
    "auxiliary population",
    "candidate records",
)
"""What an adversary who sees updates may know: the batch's labels; how many records it has; how
local training was done (learning rate, momentum, epochs, mode, defences); the statistics of batch
norm that the client sends along; auxiliary records; the candidates, for membership. As far as the
client disclosed it."""

MANDATORY = ("membership", "most vulnerable tenth")

FAMILIES = (
    *MANDATORY,
    "singling-out",
    "linkability",
    "attribute-inference",
    "copies",
    "gradient-inversion",
)
"""What a policy may make mandatory."""


def file_name(instance: object, attribute: object, value: str) -> None:
    """Check that a name can stand in the name of a file: ``evidence/<label>@<adversary>``."""
    if not re.fullmatch(r"\w[\w .,+()-]{0,63}", value) or value[-1] in " .":
        raise ValueError("at most 64 letters, digits, spaces and . , + ( ) - _, a letter first")


def _budgets(instance: object, attribute: object, value: Mapping[float, float]) -> None:
    if not value or not all(0.0 < fpr < tpr < 1.0 for fpr, tpr in value.items()):
        raise ValueError("FPR = TPR that is tolerated, 0 < FPR < TPR < 1")


@frozen(kw_only=True)
class DataPlan:
    """The ``[data]`` table.

    Either ``path`` or ``factory``, or neither where the target's loader brings the records. The
    other names are arrays or columns in it or, where they end in .npy, files (absolute here).
    The columns of a table that are not named become the records' features, in their order: a
    number as it is (where it is missing the mean, and one more feature that says so), anything
    else as one feature per value, in sorted order, and one for missing values if there are any.

    path: npz, npy (with ``labels`` another npy), csv or parquet.
    factory: import path of a function that returns a mapping with the arrays named below.
    records: what the model is asked about.
    labels: the true class of each record, numbered from 0.
    members: bool, who was trained on; left out where core draws them.
    subjects: whose record it is; a record of its own each where left out.
    auxiliary: a second file with the same names, records that are certainly no members.
    auxiliary_share: share of the subjects without a member record that core sets aside at random.
    sampling: whether these are all members, a random sample of them, or chosen otherwise.
    modality: the kind of record; attacks may be limited to some kinds.
    """

    path: Path | None = None
    factory: ImportPath | None = None
    records: str = "x"
    labels: str = "y"
    members: str | None = None
    subjects: str | None = None
    auxiliary: Path | None = None
    auxiliary_share: float = field(default=0.0, validator=[validators.ge(0.0), validators.lt(0.9)])
    sampling: str = field(default="other", validator=validators.in_(("all", "random", "other")))
    modality: str = field(
        default="tabular",
        validator=validators.in_(("tabular", "image", "text", "time-series", "graph")),
    )

    def __attrs_post_init__(self) -> None:
        if self.path is not None and self.factory is not None:
            raise ValueError("path or factory, not both")
        if self.auxiliary is not None and self.auxiliary_share > 0:
            raise ValueError("auxiliary or auxiliary_share, not both")
        named = (self.records, self.labels, self.members, self.subjects, self.auxiliary)
        if not self.given and (named != ("x", "y", None, None, None) or self.auxiliary_share > 0):
            raise ValueError("path or factory beside the names of arrays")

    @property
    def given(self) -> bool:
        """Whether the table says where the records are."""
        return self.path is not None or self.factory is not None


def known_at_most(access: Access) -> tuple[str, ...]:
    """Return what an adversary with that access may know beside what it sees: a closed list."""
    return OF_CLIENTS if access is Access.UPDATE else KNOWLEDGE


@frozen(kw_only=True)
class Adversary:
    """An ``[[adversary]]`` table: what the view of the target grants. Several may stand.

    name: what the report calls it.
    label: on which side of the report it stands.
    access: the most that it sees of the target.
    top_k: how many classes it sees, with access "top-k".
    decimals: to how many decimals outputs are rounded.
    queries: how many answers it may have from the target; without a limit if left out.
    knows: what it has beside the target's answers.
    actor: who that would be, in words, for the report.
    rationale: why this adversary is realistic, or why it is an upper envelope.
    """

    name: str = field(default="worst case", validator=file_name)
    label: str = field(default="worst case", validator=validators.in_(("realistic", "worst case")))
    access: Access = Access.LOGITS
    top_k: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    decimals: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    queries: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    knows: tuple[str, ...] = field(
        default=Factory(lambda self: known_at_most(self.access), takes_self=True),
        validator=validators.deep_iterable(
            validators.in_(tuple(dict.fromkeys((*KNOWLEDGE, *OF_CLIENTS))))
        ),
    )
    actor: str = ""
    rationale: str = ""

    def __attrs_post_init__(self) -> None:
        outside = [known for known in self.knows if known not in known_at_most(self.access)]
        if outside:
            known = ", ".join(known_at_most(self.access))
            raise ValueError(f"knows of {known}, with access {self.access.value}")
        if (self.access is Access.TOP_K) is not (self.top_k is not None):
            raise ValueError('top_k where access = "top-k", and only there')


@frozen(kw_only=True)
class Policy:
    """The ``[policy]`` table, declared before the run.

    tolerance: FPR budget f -> TPR r that is tolerated, r > f.
    confidence: of every interval, and 1 - confidence is the audit's error budget.
    tenth_tolerance: the same for the most vulnerable tenth, which has a tenth of the records.
    excess_tolerance: how many more of an attack's claims may come true about people in the data
        than about control people, in games of that kind (a share of the claims).
    headline: label of the attack that takes half of alpha as its own share.
    pass_below_tolerance: whether a leak whose upper bound lies within the tolerance passes.
    mandatory: families without which the overall line says incomplete; of updates that of
        gradient inversion where the plan does not say.
    """

    tolerance: Mapping[float, float] = field(
        factory=lambda: {0.01: 0.03, 0.001: 0.01}, validator=_budgets
    )
    tenth_tolerance: Mapping[float, float] = field(factory=lambda: {0.1: 0.2}, validator=_budgets)
    confidence: float = field(default=0.95, validator=[validators.gt(0.5), validators.lt(1.0)])
    excess_tolerance: float = field(default=0.1, validator=[validators.gt(0.0), validators.lt(1.0)])
    headline: str | None = None
    pass_below_tolerance: bool = False
    mandatory: tuple[str, ...] = field(
        default=MANDATORY, validator=validators.deep_iterable(validators.in_(FAMILIES))
    )


@frozen(kw_only=True)
class Controls:
    """The ``[controls]`` table.

    placebo: how many shadows are scored as placebo targets.
    blind: whether the blind adversary plays.
    canaries: how many of each strength are planted where core trains the targets; of tables, about
        how many made-up people stand in either arm where core fits the generators.
    curve: whether attacks are repeated with fewer shadows.
    """

    placebo: int = field(default=4, validator=validators.ge(0))
    blind: bool = True
    canaries: int = field(default=0, validator=validators.ge(0))
    curve: bool = True


@frozen(kw_only=True)
class Games:
    """The ``[games]`` table: what the challenger of games on tables and updates hides.

    rounds: people of each arm that are attacked, and guesses that singling out may make.
    secrets: columns that are inferred, each from all others; where left out, every column, or 20
        that are drawn where there are more.
    left: columns of one half of linkability, the others are the other half; where left out, core
        halves them so that either half tells about as much.
    auxiliary_share: share of the control's people that the adversary knows as auxiliary rows
        instead, where no auxiliary table is given.
    tolerance: how far off a guessed number still counts, as a share of the range in which the
        middle nine tenths of its column lie.
    planted: shares of released rows that the positive controls replace by original rows; of
        updates, of which single records are planted, an empty list switches that off.
    batches: how many batches core draws, and lets a client make an update of.
    decoys: records among which a reconstruction must name one of the batch, beside it; as many as
        the batch has where that is more.
    """

    rounds: int = field(default=2000, validator=validators.ge(20))
    secrets: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    auxiliary_share: float = field(default=0.25, validator=[validators.ge(0.0), validators.lt(0.9)])
    tolerance: float = field(default=0.05, validator=[validators.gt(0.0), validators.lt(1.0)])
    planted: tuple[float, ...] = field(
        default=(0.05, 0.2),
        validator=validators.deep_iterable(validators.and_(validators.gt(0.0), validators.lt(1.0))),
    )
    batches: int = field(default=40, validator=validators.ge(1))
    decoys: int = field(default=100, validator=validators.ge(20))


@frozen(kw_only=True)
class ChosenLoader:
    """The ``[target]`` table: ``loader`` names an offer; the other keys are its options."""

    offered: Offered[LoaderOffer]
    options: object


@frozen(kw_only=True)
class ChosenShadows:
    """The ``[shadows]`` table: ``trainer`` names an offer; keys not listed are its options.

    count: how many shadow models are trained, in complementary pairs.
    pool: whose records they train on.
    """

    offered: Offered[TrainerOffer]
    options: object
    count: int = field(default=16, validator=validators.ge(0))
    pool: str = field(default="candidates", validator=validators.in_(("candidates", "auxiliary")))


@frozen(kw_only=True)
class ChosenAttack:
    """An ``[[attacks]]`` table: ``name`` names an offer; keys not listed are its options.

    label: how the report names it; the attack's name unless given. Labels are unique.
    named: whether the plan names it; attacks taken by default are skipped where not applicable.
    """

    label: str = field(validator=file_name)
    offered: Offered[AttackOffer]
    options: object
    named: bool = True


@frozen(kw_only=True)
class ChosenExecutor:
    """The ``[execution]`` table: ``executor`` names an offer; the other keys are its options."""

    offered: Offered[ExecutorOffer]
    options: object


@frozen(kw_only=True)
class ChosenReporter:
    """One format of the ``[report]`` table."""

    offered: Offered[ReporterOffer]
    options: object


@frozen(kw_only=True)
class Plan:
    """A whole plan, resolved against the installed plugins. sha256: of the file's bytes."""

    name: str
    seed: int = field(validator=validators.ge(0))
    path: Path
    sha256: str
    loader: ChosenLoader
    data: DataPlan
    adversaries: tuple[Adversary, ...]
    shadows: ChosenShadows | None
    executor: ChosenExecutor
    attacks: tuple[ChosenAttack, ...]
    policy: Policy
    controls: Controls
    games: Games
    reporters: tuple[ChosenReporter, ...]
