"""What an audit of updates did not try, and what clients did not say."""

from collections.abc import Sequence

from leakpro_core.records import Disclosed
from leakpro_core.report import NotTested
from leakpro_core.updates.play import MEMBERSHIP, UpdatePlayed
from leakpro_core.updates.stage import UpdateStage

MALICIOUS = "malicious"
"""A loader whose notes have this word says itself what it does of malicious servers."""

_UNSAID = {
    "examples": ("how many records it has", "Attacks must guess the number of records."),
    "mode": (
        "whether it trains in training or evaluation mode",
        "Layers such as batch norm are taken to be in one of them, and attacks may miss.",
    ),
    "reduction": ("whether its loss is a mean or a sum", "The update's scale is a guess."),
    "mean": (
        "how its records are normalised",
        "Reconstructions are not kept to the range that records have.",
    ),
    "clip": ("whether it clips its update", "Only the update's direction may be right."),
    "noise": ("whether it adds noise", "Attacks take none to be there, and fit it."),
    "pruned": ("whether it prunes its update", "Attacks take zeros for what was computed."),
    "bits": ("whether it quantises its update", "Attacks take rounding for what was computed."),
}
_OF_TRAINING = {
    "lr": ("its learning rate", "Only the update's direction is known, not its length."),
    "momentum": ("its momentum", "Later steps cannot be told from earlier ones."),
    "weight_decay": ("its weight decay", "Attacks take it for the records' doing."),
    "optimiser": ("its optimiser", "Attacks take it for plain SGD."),
    "epochs": ("its epochs", "Attacks take it for one, and unroll too few steps."),
    "batch_size": ("the batch size of its steps", "Attacks take all records for one step."),
    "shuffled": ("whether it shuffles its records", "The order of steps is a guess."),
}


def unsaid(stage: UpdateStage, notes: Sequence[str]) -> tuple[NotTested, ...]:
    """Return what was not tried: other servers, other attacks, what was not disclosed.

    notes: of the loader. Of clients that core simulates nothing is unknown.
    """
    found = []
    if not any(MALICIOUS in note.lower() for note in notes):
        found.append(
            NotTested(
                means="a malicious server, which sends a model that is made to be read",
                reason="this server is curious, and sends the model that it was given",
                consequence="It could read more than is found here.",
            )
        )
    found.append(
        NotTested(
            means="property inference, attacks on secure aggregation, colluding clients",
            reason="no attack of these kinds was part of this audit",
            consequence="Nothing is said about them.",
        )
    )
    if stage.release.updates:
        found += [
            NotTested(
                means=f"knowledge of {what}",
                reason="the client did not disclose it",
                consequence=f"{so} Who knows it may find more.",
            )
            for what, so in _withheld(stage.release.disclosed)
        ]
    return (*found, *_not_given(stage))


def _not_given(stage: UpdateStage) -> list[NotTested]:
    """Return what adversaries may know by their cards, and had not."""
    found = []
    if any(update.labels is None for update in stage.release.updates):
        found.append(
            NotTested(
                means="knowledge of labels",
                reason="no batch with labels was given beside the update",
                consequence="Attacks found labels out, or did without. Who knows them may find "
                "more.",
            )
        )
    if stage.auxiliary is None or stage.auxiliary.records is None:
        found.append(
            NotTested(
                means="knowledge of other records of the same source",
                reason="no auxiliary records were given",
                consequence="Nothing was known of what records are like. Who has some may find "
                "more.",
            )
        )
    return found


def _withheld(disclosed: Disclosed) -> list[tuple[str, str]]:
    """Return what was not disclosed, in words, and how that weakens attacks."""
    asked = dict(_UNSAID)
    if disclosed.kind != "gradient":
        asked |= _OF_TRAINING
    if disclosed.clipped is False:
        del asked["clip"]
    elif disclosed.clipped:
        asked["clip"] = ("to which length it clips its update", asked["clip"][1])
    return [said for name, said in asked.items() if getattr(disclosed, name) is None]


def without_membership(stage: UpdateStage, played: Sequence[UpdatePlayed]) -> tuple[NotTested, ...]:
    """Return that membership was not asked, where it was not: inversion alone says too little."""
    if any(p.attack.offered.offer.game == MEMBERSHIP and p.status == "finished" for p in played):
        return ()
    why = "no attack of this kind was part of this audit"
    if not stage.release.rounds and not stage.release.updates:
        why = "no rounds of training were played: [target] rounds"
    return (
        NotTested(
            means="membership from updates",
            reason=why,
            consequence="Whether a known record was among the client's may be told even where no "
            "record can be reconstructed.",
        ),
    )
