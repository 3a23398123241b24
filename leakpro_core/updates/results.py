"""One attack's result on updates: what the report shows of it, beside its judged evidence."""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve, frozen

from leakpro_core.arrays import Bools
from leakpro_core.games.gradient_inversion import RECOVERED, InversionAnswer
from leakpro_core.games.outcome import Refereed
from leakpro_core.judge.inversion_words import Counted
from leakpro_core.judge.success_units import EVERYBODY
from leakpro_core.plan import Plan
from leakpro_core.records import Estimate
from leakpro_core.report import AttackResult
from leakpro_core.tabular.results import result as judged_result
from leakpro_core.tabular.weigh import Verdicts
from leakpro_core.updates.certified import Checked
from leakpro_core.updates.looks import NOT_BELOW_0, Looks, mean_over_batches
from leakpro_core.updates.play import UpdatePlayed
from leakpro_core.updates.stage import UpdateStage


@frozen(kw_only=True)
class Beheld:
    """What is known of one attack beside its evidence.

    residual: of its reconstructions, by its own measure, mean over batches; checked: its
    certificates, None where it gives none; counted: what it recovered, None where that is not
    known.
    """

    looks: Looks
    residual: Estimate | None = None
    checked: Checked | None = None
    counted: Counted | None = None


def result(
    plan: Plan,
    p: UpdatePlayed,
    found: Verdicts,
    hashes: Mapping[str, str],
    shown: Mapping[str, str],
    name: str,
    beheld: Beheld | None,
) -> AttackResult:
    """Return the result of one attack as one adversary, finished or not. name: its evidence's."""
    base = judged_result(plan, p, found, hashes, shown, {})
    if beheld is None:
        return base
    refused = sum(answer is None for answer in p.answers)
    # The referee repeats those of the batches that it judged.
    notes = [*base.notes, *(note for a in p.answers if a is not None for note in a.notes)]
    if refused:
        notes.append(f"It gave no answer for {refused:,} of {len(p.answers):,} batches.")
    checked = beheld.checked
    if checked is not None and checked.certified.wrong:
        notes.append(
            f"{checked.certified.wrong:,} of its certificates are WRONG: it said that the update "
            "shows these records to be right, and the client's batch does not have them."
        )
    return evolve(
        base,
        notes=tuple(dict.fromkeys(notes)),
        exhibits=shown.get(name, ""),
        fidelity=beheld.looks.fidelity,
        residual=beheld.residual,
        certified=None if checked is None else checked.certified,
        # What is said of records and of reconstructions is not one rate.
        success=tuple(q for q in base.success if q.coverage != EVERYBODY),
    )


def residual_of(answers: Sequence[InversionAnswer | None], confidence: float) -> Estimate | None:
    """Return the mean residual over batches that an attack told; None where it told none."""
    told = [np.array([a.residual]) for a in answers if a is not None and a.records is not None]
    return mean_over_batches(told, confidence, NOT_BELOW_0)


def true_of(refereed: Refereed) -> int:
    """Return of about how many clients' batches a claim of the attack's first facet came true.

    Of one facet, that of all claims together: a batch of which a label is right is none of which
    a record is identified. Where records tie, by the chance of the batch's best claim.
    """
    e = refereed.evidence
    mine = e.exposed & ~np.isnan(e.claim)
    if e.facet is not None:
        mine &= e.facet == 0
    best: dict[int, float] = {}
    for batch, hit in zip(e.cluster[mine].tolist(), e.hit[mine].tolist(), strict=True):
        best[batch] = max(best.get(batch, 0.0), hit)
    return round(sum(best.values()))


def counted(stage: UpdateStage, refereed: Refereed) -> Counted | None:
    """Return how many records of the batches were recovered; None where nothing says it."""
    e = refereed.evidence
    if RECOVERED not in refereed.facets or e.facet is None:
        return None
    mine = e.facet == refereed.facets.index(RECOVERED)
    hit: Bools = mine & ~np.isnan(e.claim) & (e.hit > 0.0)
    inside = mine & e.exposed
    different = set()
    for batch in stage.batches:
        own = np.flatnonzero(inside & (e.cluster == batch.subject))
        different |= {batch.records[record].tobytes() for record, row in enumerate(own) if hit[row]}
    return Counted(
        hits=int((hit & e.exposed).sum()),
        rounds=int(inside.sum()),
        batches=len(stage.batches),
        control=int((hit & ~e.exposed).sum()),
        distinct=len(different),
    )
