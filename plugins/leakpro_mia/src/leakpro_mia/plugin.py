"""Hooks of this plugin; imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import Access, AttackOffer


@hookimpl
def leakpro_attacks() -> Iterable[AttackOffer]:
    """Offer the attacks over signals."""
    return (
        AttackOffer(
            name="loss",
            ref="leakpro_mia.loss:attack",
            summary="The model's loss on the record.",
            game="membership",
            access=Access.LABELS,
            reference="Yeom et al. 2018",
        ),
        AttackOffer(
            name="population",
            ref="leakpro_mia.population:attack",
            summary="The loss ranked among records that are certainly no members.",
            options="leakpro_mia.population:PopulationOptions",
            game="membership",
            access=Access.LABELS,
            needs=frozenset({"auxiliary"}),
            reference="Ye et al. 2022 (Attack P)",
        ),
        AttackOffer(
            name="quantile",
            ref="leakpro_mia.quantile:attack",
            summary="The margin against a quantile regressed on the raw record; no shadows.",
            options="leakpro_mia.quantile:QuantileOptions",
            game="membership",
            access=Access.LABELS,
            needs=frozenset({"records", "auxiliary"}),
            reference="Bertran et al. 2023 (QMIA)",
        ),
        AttackOffer(
            name="ratio",
            ref="leakpro_mia.ratio:attack",
            summary="The probability against its mean over shadow models; good with few.",
            options="leakpro_mia.ratio:RatioOptions",
            game="membership",
            access=Access.LABELS,
            shadows=2,
            temperature="temperature",
            reference="Zarifzadeh et al. 2024 (RMIA), Lassila et al. 2025 (BASE)",
        ),
        AttackOffer(
            name="lira",
            ref="leakpro_mia.lira:attack",
            summary="Gaussians of the margin with and without the record.",
            options="leakpro_mia.lira:LiraOptions",
            game="membership",
            access=Access.LABELS,
            shadows=4,
            reference="Carlini et al. 2022 (LiRA)",
        ),
        AttackOffer(
            name="student",
            ref="leakpro_mia.student:attack",
            summary="LiRA with empirical-Bayes variances and means and Student-t tails.",
            options="leakpro_mia.student:StudentOptions",
            game="membership",
            access=Access.LABELS,
            shadows=4,
            reference="BaVarIA 2026; Smyth 2004 (limma)",
        ),
        AttackOffer(
            name="combined",
            ref="leakpro_mia.combined:attack",
            summary="Ratio and student together, ranked against held-out shadows.",
            options="leakpro_mia.combined:CombinedOptions",
            game="membership",
            access=Access.LABELS,
            shadows=4,
            temperature="temperature",
            reference="LeakPro 2026",
        ),
        AttackOffer(
            name="stacked",
            ref="leakpro_mia.stacked:attack",
            summary="A classifier learned on the shadows as pseudo-targets; the strongest.",
            options="leakpro_mia.stacked:StackedOptions",
            game="membership",
            access=Access.LABELS,
            shadows=6,
            temperature="temperature",
            reference="LeakPro 2026; after Shokri et al. 2017",
        ),
    )
