"""Plain words of audits of tables and of success games. No number is made here."""

from leakpro_core.report import Word
from leakpro_html.game_words import GameWords

KINDS = ("table", "generator")
"""Kinds of target that are audited as tables."""

GAMES = {
    "singling-out": GameWords(
        title="Singling out",
        question="Can one person be picked out of the training data?",
        rule=(
            "The adversary states predicates: conditions on columns, each meant to hold for "
            "exactly one person. A predicate comes true where exactly one person in the training "
            "data meets it. Control: exactly one of as many control people meets the same "
            "predicate. Blind: predicates of the same weight, made without the release."
        ),
        claims="predicates",
        exposed="isolate a person in the data",
        control="isolate a control person",
        facet="number of columns",
    ),
    "linkability": GameWords(
        title="Linkability",
        question="Can two parts of a person's row be brought together?",
        rule=(
            "The adversary holds two halves of the columns of the same people, each shuffled, and "
            "says which belong together. A link comes true where both halves are one person's; "
            "candidates that tie share the credit. Control: links of people who are not in the "
            "training data. Blind: links made from auxiliary rows in the place of the released "
            "ones."
        ),
        claims="links",
        exposed="are right for people in the data",
        control="are right for control people",
        facet="number of candidates",
    ),
    "attribute-inference": GameWords(
        title="Attribute inference",
        question="Can a hidden value of a person be guessed?",
        rule=(
            "One column is hidden at a time, and guessed for each person from the person's other "
            "columns and the release. A guess comes true where it is the person's value; a number "
            "may be off by the declared tolerance. Control: guesses about people who are not in "
            "the training data. Blind: guesses made from auxiliary rows in the place of the "
            "released ones. What is right for control people as often as for people in the data "
            "is knowledge about everybody, and no leak of the training data."
        ),
        claims="guesses",
        exposed="are right for people in the data",
        control="are right for control people",
        facet="attribute",
    ),
    "copies": GameWords(
        title="Copies",
        question="Do released rows repeat rows of the training data?",
        rule=(
            "Each released row is compared with the rows of the training data. It counts where "
            "it repeats one exactly, or lies nearer to one than chance would bring it. Control: "
            "it repeats a row of as many control people. Blind: auxiliary rows in the "
            "place of the released ones."
        ),
        claims="released rows",
        exposed="repeat a row of the training data",
        control="repeat a control row",
        facet="likeness",
    ),
}


MEANING = {
    Word.EXTRACTION: (
        "Released rows repeat rows of the training data, more often than they repeat rows of "
        "control people, and more often than rows of an adversary who never saw the release."
    ),
    Word.STRONG: (
        "The odds that a claim comes true are at least {strong} times as high for people in the "
        "data as for control people, on average over those claims; in membership, a flag makes it "
        "at least {strong} times likelier in odds. Single people may be far more exposed."
    ),
    Word.CLEAR: (
        "The odds that a claim comes true are at least {clear} times as high for people in the "
        "data as for control people, on average over those claims; in membership, a flag makes it "
        "at least {clear} times likelier in odds. Single people may be far more exposed."
    ),
    Word.WEAK: (
        "A leak is detectable. The evidence about the average person is weak; single people may "
        "be more exposed."
    ),
}
"""What words mean in audits of tables, where it is not what they mean in others."""

SAMPLING = {
    "all": "all people in the training data were attacked",
    "random": "the people attacked are a random sample of those in the training data",
    "other": (
        "the people attacked are neither all nor a random sample of those in the training data"
    ),
}

GLOSSARY = (
    (
        "Release",
        "The synthetic rows that are handed out. The training data are the rows of real people "
        "that they were made from.",
    ),
    (
        "Control people",
        "People of the same source whose rows the release was not made from. What an attack "
        "learns about them, it does not learn from their data.",
    ),
    ("Claim, hit", "What the adversary says about a person, and a claim that comes true."),
    (
        "Excess",
        "Hit rate for people in the data minus hit rate for control people, in percentage points. "
        "It is negative where control is higher, and printed so.",
    ),
    (
        "Excess over blind",
        "Hit rate for people in the data minus that of the blind adversary, about the same people.",
    ),
    (
        "R",
        "The excess divided by the share of control people about whom no claim came true. Printed "
        "for comparison with other tools; no verdict depends on it.",
    ),
    (
        "L",
        "Lower bound of the odds of a hit about people in the data over the odds about control "
        "people, corrected for all attacks, points and adversaries.",
    ),
    (
        "Surest tenth",
        "The tenth of the claims that the adversary is surest of: what one would act on who may "
        "choose.",
    ),
)

MEMBERSHIP_GLOSSARY = {
    "Member": (
        "A record (a person) that the release was made from. A non-member is one that it was not "
        "made from."
    ),
    "Membership inference": (
        "An attempt to tell from a release whether a given record was in its training data."
    ),
    "Shadow model": (
        "A generator that the adversary fits for comparison, to learn how a release looks with "
        "and without a record."
    ),
    "Placebo": (
        "A release that was not made from the records in question, attacked in the same way. What "
        "the attack seems to find there is no leak; it should find nothing."
    ),
    "Blind adversary": (
        "An attacker who never sees the release, and plays with all else that the adversary has."
    ),
    "Most vulnerable tenth": (
        "The tenth of the people that looks most exposed: those farthest from their neighbours. "
        "It is chosen without looking at who is in the training data."
    ),
}
"""Terms of the glossary that mean another thing in audits of tables."""
