"""What a plan can say of a synthesizer, and the synthesizer that it says. No SDV until built."""

import inspect
from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen, validators

from leakpro_core.errors import BadValue, UnknownKey, UnknownName, nearest
from leakpro_sdv.frames import KEY, Layout, metadata, name_of
from leakpro_sdv.library import because, module, quiet

Parameter = bool | int | float | str | tuple[int, ...] | Mapping[str, str]
"""A constructor's argument as a plan can write it; a table's keys are names of columns."""

_OURS = ("self", "metadata", "locales", "verbose", "epochs", "batch_size", "context_columns")
"""Arguments that have keys of their own, or that change no value that is modelled."""

_GPU = ("enable_gpu", "cuda")


@frozen(kw_only=True)
class GeneratorOptions:
    """``[shadows]`` with ``trainer = "sdv"``.

    synthesizer: of SDV; PAR takes the rows of a person as a sequence, HMA as a parent's children.
    epochs, batch_size: of training, SDV's own unless given; copulas have neither, PAR no batches.
    sequence_index: for PAR, the column that orders a sequence; None: the order of the rows.
    context_columns: for PAR, columns that do not vary within a sequence.
    child_columns: for HMA, the columns of the children in the joined table; the others are their
    parents'.
    parameters: further arguments of the synthesizer's constructor, such as ``pac = 5`` or
    ``numerical_distributions = { age = "gamma" }``. It runs on the CPU unless ``enable_gpu``
    (PAR: ``cuda``) is set here: rows of the same seed are then the same.
    """

    synthesizer: Literal["GaussianCopula", "CTGAN", "TVAE", "PAR", "HMA"] = "GaussianCopula"
    epochs: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    batch_size: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    sequence_index: str | None = None
    context_columns: tuple[str, ...] = ()
    child_columns: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        name = self.synthesizer
        if self.epochs is not None and name in ("GaussianCopula", "HMA"):
            raise ValueError(f"no epochs: {name} is fitted in closed form")
        if self.batch_size is not None and name not in ("CTGAN", "TVAE"):
            raise ValueError(f"no batch_size: {name} is not fitted in batches")
        if name != "PAR" and (self.sequence_index is not None or self.context_columns):
            raise ValueError(f"no sequence_index or context_columns: {name} has no sequences")
        if name != "HMA" and self.child_columns:
            raise ValueError(f"no child_columns: {name} models one table")
        if name == "HMA" and self.parameters:
            raise ValueError("no parameters: HMA takes none")
        pac = self.parameters.get("pac", 10)
        # CTGAN asserts both, without a word.
        if name == "CTGAN" and isinstance(pac, int) and (self.batch_size or 500) % pac:
            raise ValueError(f"a batch_size that is a multiple of pac, {pac}")
        if name == "CTGAN" and (self.batch_size or 500) % 2:
            raise ValueError("an even batch_size")


def untrained(options: GeneratorOptions, layout: Layout, at: str) -> Any:
    """Return the synthesizer, not yet fitted.

    at: the options' table of the plan, for errors: ``UnknownKey`` where the constructor has no such
    argument, ``UnknownName`` for a column, ``BadValue`` where it refuses a value.
    """
    described: dict[str, Any] = layout.described()
    table: dict[str, Any] = {"columns": described}
    if options.synthesizer == "PAR":
        described[KEY] = {"sdtype": "id"}
        table["sequence_key"] = KEY
        if options.sequence_index is not None:
            table["sequence_index"] = column(layout, options.sequence_index, f"{at} sequence_index")
    made = synthesizer_class(options.synthesizer)
    arguments = _arguments(options, layout, made, at)
    try:
        with quiet():
            return made(metadata({"table": table}), **arguments)
    except Exception as error:
        raise BadValue(
            f"{at} parameters",
            found=layout.translated(because(error)),
            expected=f"arguments that SDV's {made.__name__} takes",
        ) from error


def synthesizer_class(name: str) -> Any:
    """Return a class of SDV by its name without ``Synthesizer``."""
    for part in ("single_table", "sequential", "multi_table"):
        found = getattr(module(f"sdv.{part}"), f"{name}Synthesizer", None)
        if found is not None:
            return found
    raise ValueError(f"no synthesizer {name}")


def column(layout: Layout, name: str, what: str) -> str:
    """Return how a modelled column is called in frames; ``UnknownName`` where it is none."""
    names = {layout.columns[j].name: name_of(j) for j in layout.modelled}
    if name not in names:
        raise UnknownName(
            what,
            found=repr(name),
            expected="a column that is modelled",
            fix=nearest(name, list(names)),
        )
    return names[name]


def _arguments(options: GeneratorOptions, layout: Layout, made: Any, at: str) -> dict[str, object]:
    known = [name for name in inspect.signature(made.__init__).parameters if name not in _OURS]
    arguments: dict[str, object] = {name: False for name in _GPU if name in known}
    for name, value in options.parameters.items():
        if name not in known:
            raise UnknownKey(
                f"{at} parameters.{name}",
                found=f"no argument of {made.__name__}",
                fix=nearest(name, known),
            )
        arguments[name] = (
            {column(layout, key, f"{at} parameters.{name}"): v for key, v in value.items()}
            if isinstance(value, Mapping)
            else value
        )
    if options.epochs is not None:
        arguments["epochs"] = options.epochs
    if options.batch_size is not None:
        arguments["batch_size"] = options.batch_size
    if options.context_columns:
        what = f"{at} context_columns"
        arguments["context_columns"] = [column(layout, c, what) for c in options.context_columns]
    return arguments
