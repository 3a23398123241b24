"""What this distribution offers. Imports leakpro_core only."""

from collections.abc import Iterable

from leakpro_core import hookimpl
from leakpro_core.offers import Access, AttackOffer, LoaderOffer


@hookimpl
def leakpro_target_loaders() -> Iterable[LoaderOffer]:
    """Offer updates that a server received, and clients that core lets make updates."""
    yield LoaderOffer(
        name="update",
        kind="update",
        ref="leakpro_fl.received:load",
        options="leakpro_fl.options:ReceivedOptions",
        summary="Updates that a server received from a client.",
    )
    yield LoaderOffer(
        name="client",
        kind="update",
        ref="leakpro_fl.simulated:load",
        options="leakpro_fl.options:ClientOptions",
        summary="A client's procedure, by which core makes updates from batches of its records.",
    )


@hookimpl
def leakpro_attacks() -> Iterable[AttackOffer]:
    """Offer every attack on updates."""
    yield AttackOffer(
        name="labels",
        game="gradient-inversion",
        access=Access.UPDATE,
        backend="torch",
        ref="leakpro_fl.labels:attack",
        summary="The batch's labels, in closed form from the last layer's bias.",
        reference="Zhao, Mopuri, Bilen 2020; Wainakh et al. 2022",
    )
    yield AttackOffer(
        name="exact",
        game="gradient-inversion",
        access=Access.UPDATE,
        backend="torch",
        modalities=frozenset({"image", "tabular"}),
        ref="leakpro_fl.exact:attack",
        options="leakpro_fl.exact:ExactOptions",
        summary="Exact records from a fully connected first layer, with a certificate.",
        reference="Phong et al. 2018; Dimitrov et al. 2024 (SPEAR)",
    )
    yield AttackOffer(
        name="inversion",
        game="gradient-inversion",
        access=Access.UPDATE,
        backend="torch",
        modalities=frozenset({"image", "tabular"}),
        ref="leakpro_fl.inversion:attack",
        options="leakpro_fl.inversion:InversionOptions",
        summary="Records by optimisation until their update is the one that was sent.",
        reference="Zhu, Liu, Han 2019; Geiping et al. 2020; Yin et al. 2021",
    )
    yield AttackOffer(
        name="imprint",
        game="gradient-inversion",
        access=Access.UPDATE,
        backend="torch",
        modalities=frozenset({"image", "tabular"}),
        ref="leakpro_fl.imprint:attack",
        options="leakpro_fl.imprint:ImprintOptions",
        summary="Malicious server: records off a model that was made to sort them into bins.",
        reference="Fowl et al. 2022 (Robbing the Fed); Boenisch et al. 2023",
    )
    yield AttackOffer(
        name="one-hot",
        game="gradient-inversion",
        access=Access.UPDATE,
        backend="torch",
        modalities=frozenset({"tabular"}),
        ref="leakpro_fl.one_hot:attack",
        options="leakpro_fl.one_hot:OneHotOptions",
        summary="Rows by optimisation over one-hot groups, restarts combined by entropy.",
        reference="Vero et al. 2023 (TabLeak)",
    )
    yield AttackOffer(
        name="embeddings",
        game="gradient-inversion",
        access=Access.UPDATE,
        backend="torch",
        modalities=frozenset({"text"}),
        ref="leakpro_fl.embeddings:attack",
        options="leakpro_fl.embeddings:EmbeddingsOptions",
        summary="Texts from the span of a transformer's gradients.",
        reference="Petrov et al. 2024 (DAGER)",
    )
    yield AttackOffer(
        name="alignment",
        game="membership",
        access=Access.UPDATE,
        backend="torch",
        needs=frozenset({"records"}),
        ref="leakpro_fl.alignment:attack",
        options="leakpro_fl.alignment:AlignmentOptions",
        summary="How well a record's gradient aligns with the updates of all rounds.",
        reference="Nasr, Shokri, Houmansadr 2019; Andrew et al. 2024",
    )
