"""Each success game in plain words, whatever it is played on."""

from leakpro_html import table_words, update_words
from leakpro_html.game_words import GameWords

GAMES = {**table_words.GAMES, "gradient-inversion": update_words.INVERSION}


def game(name: str) -> GameWords:
    """Return how a success game is told, plainly where it is not known here."""
    told = name.replace("-", " ").capitalize()
    return GAMES.get(name) or GameWords(
        title=told,
        question="How often do the adversary's claims come true?",
        rule="Claims about people in the training data are compared with those about others.",
    )


def family(name: str) -> str:
    """Return the family of a finding as a heading."""
    return GAMES[name].title if name in GAMES else name.capitalize()
