"""Hooks of this distribution; imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import Access, AttackOffer, LoaderOffer, TrainerOffer


@hookimpl
def leakpro_target_loaders() -> Iterable[LoaderOffer]:
    """Offer released tables, and saved synthesizers."""
    yield LoaderOffer(
        name="table",
        kind="table",
        ref="leakpro_sdv.tables:load",
        summary="A synthetic table in CSV or Parquet, with the rows that it was made from.",
        options="leakpro_sdv.tables:TableOptions",
    )
    yield LoaderOffer(
        name="sdv",
        kind="generator",
        ref="leakpro_sdv.synthesizers:load",
        summary="A synthesizer of SDV 2.x, saved or fitted for the audit.",
        options="leakpro_sdv.synthesizers:SynthesizerOptions",
    )


@hookimpl
def leakpro_shadow_trainers() -> Iterable[TrainerOffer]:
    """Offer SDV synthesizers as shadow generators."""
    yield TrainerOffer(
        name="sdv",
        ref="leakpro_sdv.trainer:train",
        summary="Shadow generators: SDV synthesizers fitted on halves of the people.",
        options="leakpro_sdv.trainer:GeneratorOptions",
        kind="generator",
        backend="sdv",
    )


@hookimpl
def leakpro_attacks() -> Iterable[AttackOffer]:
    """Offer every attack on released tables."""
    yield AttackOffer(
        name="single-column",
        game="singling-out",
        access=Access.SAMPLES,
        ref="leakpro_sdv.single_column:attack",
        options="leakpro_sdv.single_column:SingleColumnOptions",
        summary="Predicates of one column: rare values, extremes and gaps.",
        reference="Article 29 Working Party 216 (2014); Cohen, Nissim 2020",
    )
    yield AttackOffer(
        name="multi-column",
        game="singling-out",
        access=Access.SAMPLES,
        ref="leakpro_sdv.multi_column:attack",
        options="leakpro_sdv.multi_column:MultiColumnOptions",
        summary="Predicates of two to all columns around released rows.",
        reference="Article 29 Working Party 216 (2014); Cohen, Nissim 2020",
    )
    yield AttackOffer(
        name="tree",
        game="singling-out",
        access=Access.SAMPLES,
        ref="leakpro_sdv.tree:attack",
        options="leakpro_sdv.tree:TreeOptions",
        summary="Predicates along the branches that isolate a released row soonest.",
        reference="Liu, Ting, Zhou 2008; Cohen, Nissim 2020",
    )
    yield AttackOffer(
        name="linkability",
        game="linkability",
        access=Access.SAMPLES,
        ref="leakpro_sdv.linkability:attack",
        options="leakpro_sdv.linkability:LinkabilityOptions",
        summary="Two halves are linked when the same released row is nearest to both.",
        reference="Article 29 Working Party 216 (2014)",
    )
    yield AttackOffer(
        name="nearest-rows",
        game="attribute-inference",
        access=Access.SAMPLES,
        ref="leakpro_sdv.nearest_rows:attack",
        options="leakpro_sdv.nearest_rows:NearestRowsOptions",
        summary="Guesses a column from the released rows nearest in all others.",
        reference="Article 29 Working Party 216 (2014)",
    )
    yield AttackOffer(
        name="boosted",
        game="attribute-inference",
        access=Access.SAMPLES,
        ref="leakpro_sdv.boosted:attack",
        options="leakpro_sdv.boosted:BoostedOptions",
        summary="Guesses a column by gradient-boosted trees fitted on the released rows.",
        reference="Stadler, Oprisanu, Troncoso 2022",
    )
    yield AttackOffer(
        name="distance",
        game="membership",
        access=Access.SAMPLES,
        ref="leakpro_sdv.distance:attack",
        summary="How near the nearest released row is, as a score of each record.",
        reference="Chen, Yu, Zhang, Fritz 2020 (GAN-Leaks)",
    )
    yield AttackOffer(
        name="neighbour-ratio",
        game="membership",
        access=Access.SAMPLES,
        needs=frozenset({"auxiliary"}),
        ref="leakpro_sdv.neighbour_ratio:attack",
        options="leakpro_sdv.neighbour_ratio:NeighbourRatioOptions",
        summary="Distance to the nearest released rows against that to auxiliary rows.",
        reference="Chen, Yu, Zhang, Fritz 2020 (calibrated); Meeus et al. 2023",
    )
    yield AttackOffer(
        name="domias",
        game="membership",
        access=Access.SAMPLES,
        needs=frozenset({"auxiliary"}),
        ref="leakpro_sdv.domias:attack",
        options="leakpro_sdv.domias:DomiasOptions",
        summary="Density of the released rows against that of auxiliary rows.",
        reference="van Breugel, Sun, Qian, van der Schaar 2023",
    )
    yield AttackOffer(
        name="gen-lra",
        game="membership",
        access=Access.SAMPLES,
        needs=frozenset({"auxiliary"}),
        ref="leakpro_sdv.gen_lra:attack",
        options="leakpro_sdv.gen_lra:GenLraOptions",
        summary="How much likelier the released rows nearby become with the record known.",
        reference="Ward, Wang, Cheng 2025 (Gen-LRA)",
    )
    yield AttackOffer(
        name="marginals",
        game="membership",
        access=Access.SAMPLES,
        needs=frozenset({"auxiliary"}),
        ref="leakpro_sdv.marginals:attack",
        options="leakpro_sdv.marginals:MarginalsOptions",
        summary="Released against auxiliary shares of a record's cells in low-order marginals.",
        reference="Golob, Pentyala, Maratkhan, De Cock 2025 (MAMA-MIA)",
    )
    yield AttackOffer(
        name="panel",
        game="membership",
        access=Access.SAMPLES,
        needs=frozenset({"auxiliary"}),
        ref="leakpro_sdv.panel:attack",
        options="leakpro_sdv.panel:PanelOptions",
        summary="The scores of all these attacks, put together on rows of known origin.",
        reference="van Breugel, Sun, Qian, van der Schaar 2023; Meeus et al. 2023",
    )
    yield AttackOffer(
        name="shadow-generators",
        game="membership",
        access=Access.SAMPLES,
        shadows=4,
        ref="leakpro_sdv.shadow_generators:attack",
        options="leakpro_sdv.shadow_generators:ShadowOptions",
        summary="Scores of a record on generators fitted with and without it.",
        reference="Stadler, Oprisanu, Troncoso 2022; Carlini et al. 2022",
    )
    yield AttackOffer(
        name="copies",
        game="copies",
        access=Access.SAMPLES,
        ref="leakpro_sdv.copies:attack",
        summary="Released rows that repeat a row of the training data.",
        reference="Meehan, Chaudhuri, Dasgupta 2020",
    )
