"""Whether what an attack answered can be shown and told of; the referee checks more of it."""

from numbers import Real

from leakpro_core.errors import WrongAnswer
from leakpro_core.games.gradient_inversion import InversionAnswer
from leakpro_core.updates.stage import UpdateStage


def check_told(answer: InversionAnswer, attack: str) -> None:
    """Raise ``WrongAnswer`` where what an answer tells beside its arrays cannot be reported."""
    residual: object = answer.residual  # a plugin may put anything here
    notes: object = answer.notes
    if not isinstance(residual, Real):
        raise _wrong(
            attack, f"a residual of type {type(residual).__name__}", "a number, NaN for none"
        )
    if not isinstance(notes, tuple) or not all(isinstance(note, str) for note in notes):
        raise _wrong(attack, f"notes of type {type(notes).__name__}", "a tuple of sentences")


def check_form(answer: InversionAnswer, stage: UpdateStage, attack: str) -> None:
    """Raise ``WrongAnswer`` where an answer about a batch that nobody knows has another form."""
    said = answer.labels if answer.records is None else answer.records
    k = 0 if said is None else len(said)
    for name, values, expected in (
        ("records", answer.records, (k, *stage.shape)),
        ("labels", answer.labels, (k,)),
        ("claims", answer.claims, (k,)),
        ("certified", answer.certified, (k,)),
    ):
        if values is not None and values.shape != expected:
            raise _wrong(attack, f"{name} of shape {values.shape}", str(expected))
    kinds, numbers = ("iu", "whole numbers") if stage.modality == "text" else ("fiu", "numbers")
    if answer.records is not None and answer.records.dtype.kind not in kinds:
        raise _wrong(attack, f"records of dtype {answer.records.dtype}", numbers)


def _wrong(attack: str, found: str, expected: str) -> WrongAnswer:
    return WrongAnswer(f"answer of attack {attack!r}", found=found, expected=expected)
