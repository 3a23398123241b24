"""Offers: small frozen records by which a plugin says what it can do.

An offer names its function by a string reference, resolved on first use,
so listing, validating and vetting plugins imports nothing heavy.
"""

from enum import StrEnum

from attrs import field, frozen, validators

_LADDER = ("labels", "top-k", "confidences", "logits", "weights")


class Access(StrEnum):
    """What an adversary may see of the released artefact."""

    LABELS = "labels"
    TOP_K = "top-k"
    CONFIDENCES = "confidences"
    LOGITS = "logits"
    WEIGHTS = "weights"
    SAMPLES = "samples"
    UPDATE = "update"

    def covers(self, needed: "Access") -> bool:
        """Whether this grants at least ``needed``; samples and update cover only themselves."""
        if self in _LADDER and needed in _LADDER:
            return _LADDER.index(self) >= _LADDER.index(needed)
        return self is needed


def _reference(instance: object, attribute: object, value: str | None) -> None:
    if value is None:
        return
    module, _, name = value.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        raise ValueError(f"{value!r} is not a reference of the form 'package.module:name'")


def _checked_reference(instance: object, attribute: object, value: str) -> None:
    _reference(instance, attribute, value)


@frozen(kw_only=True)
class Offer:
    """Abstract: what every offer says.

    name: the name used in a plan; unique among offers of its hook.
    ref: ``package.module:function``, resolved on first use.
    summary: one sentence for listings.
    options: reference to a frozen attrs class; None where there are no options.
    """

    name: str = field(validator=validators.matches_re(r"[a-z0-9][a-z0-9-]*"))
    ref: str = field(validator=_checked_reference)
    summary: str = ""
    options: str | None = field(default=None, validator=_reference)


@frozen(kw_only=True)
class LoaderOffer(Offer):
    """Stage 1, target loading: ``load(options, run) -> Release``.

    kind: what is loaded.
    """

    kind: str = field(
        default="model", validator=validators.in_(("model", "update", "table", "generator"))
    )


@frozen(kw_only=True)
class TrainerOffer(Offer):
    """Stage 2, shadow training: ``train(data, unit, run) -> Cohort``.

    kind: what is trained: models, or generators of tables, whose units hold a ``Fitting``.
    backend: torch, jax, ...; attacks that need a backend can use its models.
    trial: reference to ``trial(data, unit, run) -> Trial``, a short timed trial on the machine
        that is to train, which chooses how cohorts are trained; None: there is nothing to choose.
    """

    kind: str = field(default="model", validator=validators.in_(("model", "generator")))
    backend: str = ""
    trial: str | None = field(default=None, validator=_reference)


@frozen(kw_only=True)
class AttackOffer(Offer):
    """Stage 3, attack scoring: ``attack(challenge, options, run) -> Answer``.

    game: one of those in ``leakpro_core.games``.
    access: the least that the attack needs to see of the target.
    modalities: kinds of record that it works on; empty means any.
    shadows: fewest shadow models that make it meaningful.
    shadow_access: "outputs", or "models" if it needs the shadows' weights too.
    temperature: name of the option that holds a softmax temperature, so that core derives
        ``log_p`` at that temperature; None where the attack reads temperature 1 only.
    raw_outputs: whether the attack needs the outputs themselves beside the signals.
    needs: what it cannot do without: "records", "auxiliary".
    probes: reference to ``records -> [n, queries, ...]``, extra queries fixed beforehand.
    backend: torch, jax, ... where it must differentiate through the native model.
    reference: paper and year.
    """

    game: str
    access: Access = Access.LOGITS
    modalities: frozenset[str] = frozenset()
    shadows: int = 0
    shadow_access: str = field(default="outputs", validator=validators.in_(("outputs", "models")))
    temperature: str | None = None
    raw_outputs: bool = False
    needs: frozenset[str] = field(
        default=frozenset(),
        validator=validators.deep_iterable(validators.in_(("records", "auxiliary"))),
    )
    probes: str | None = field(default=None, validator=_reference)
    backend: str | None = None
    reference: str


@frozen(kw_only=True)
class ReporterOffer(Offer):
    """Stage 4, reporting: ``render(report, folder, options) -> tuple[Path, ...]``."""


@frozen(kw_only=True)
class ExecutorOffer(Offer):
    """Where units of work run: ``execute(works, options, run) -> Iterator[tuple[int, object]]``.

    slots: reference to ``options -> int``, how many units run at once; None: one.
    """

    slots: str | None = field(default=None, validator=_reference)
