"""What is known of attacks of gradient inversion beside what the judge measures."""

from collections.abc import Mapping

from attrs import field, frozen

from leakpro_core.records import Estimate


@frozen(kw_only=True)
class Counted:
    """Records that an attack recovered: hits of ``rounds`` records of ``batches``.

    control: of as many other records; distinct: different records among the hits.
    """

    hits: int
    rounds: int
    batches: int
    control: int
    distinct: int


@frozen(kw_only=True)
class Demonstrated:
    """What an attack shows by the update alone: records that it certified of ``batches``.

    residual: the largest relative distance of the update that core computes from these records
    from the one that was sent.
    """

    label: str
    records: int
    batches: int
    residual: float


@frozen(kw_only=True)
class Beside:
    """What is known of one adversary's attacks beside what the judge measured.

    batches: how many were played; unjudged: how many of these could not be judged, and why (a
    sentence without a full stop); counted: what was recovered, by label; demonstrated: by the
    update alone; uncertain: why certificates were not accepted, sentences; residuals: of
    reconstructions, mean over batches, by label, where an attack told it.
    """

    batches: int
    unjudged: int = 0
    why: str = ""
    counted: Mapping[str, Counted] = field(factory=dict)
    demonstrated: tuple[Demonstrated, ...] = ()
    uncertain: tuple[str, ...] = ()
    residuals: Mapping[str, Estimate] = field(factory=dict)
