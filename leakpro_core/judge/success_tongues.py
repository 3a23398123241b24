"""How each success game speaks of what an attack claims."""

from attrs import frozen

COPIES = "copies"


@frozen
class Tongue:
    """How a game speaks of a claim: a word, its plural, "come true" for one and for several,
    and about whom it does so in either arm.
    """

    one: str
    many: str
    to: str
    they: str
    exposed: str
    control: str
    tenth: str = " of the most vulnerable tenth of the people"


_PEOPLE = "about people in the training data"
_OTHERS = "about other people"
_ALONE = ", counting people of the most vulnerable tenth alone,"
_ANY = Tongue("claim", "claims", "come true", "come true", _PEOPLE, _OTHERS)
_TONGUES = {
    "singling-out": Tongue(
        "predicate",
        "predicates",
        "isolate",
        "isolate",
        "exactly one person of the training data",
        "exactly one of as many other people",
        _ALONE,
    ),
    "linkability": Tongue("link", "links", "be right", "are right", _PEOPLE, _OTHERS),
    "attribute-inference": Tongue("guess", "guesses", "be right", "are right", _PEOPLE, _OTHERS),
    COPIES: Tongue(
        "released row",
        "released rows",
        "repeat or nearly repeat",
        "repeat or nearly repeat",
        "a row of the training data",
        "one of as many control rows",
        _ALONE,
    ),
}


def tongue(game: str) -> Tongue:
    """Return how a game speaks."""
    return _TONGUES.get(game, _ANY)
