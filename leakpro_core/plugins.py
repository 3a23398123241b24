"""PluginSet: find, vet, load, collect. Built, passed and forgotten; there is no global one."""

from typing import Generic, TypeVar

from attrs import frozen

from leakpro_core.offers import Offer

OfferT = TypeVar("OfferT", bound=Offer)


@frozen(kw_only=True)
class Offered(Generic[OfferT]):
    """An offer and whose it is: the distribution's normalised name and its version."""

    offer: OfferT
    plugin: str
    version: str
