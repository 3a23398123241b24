"""Plain words: what verdicts, statuses, access levels and terms mean. No number is made here."""

from leakpro_core.report import Word

MEANING = {
    Word.INVALID: "A validity control failed. The test cannot support a conclusion.",
    Word.EXTRACTION: "Training records were recovered, beyond what guessing would give.",
    Word.STRONG: (
        "On average over those flagged, a flag makes membership at least {strong} times likelier "
        "in odds. Single records may be far more exposed."
    ),
    Word.CLEAR: (
        "On average over those flagged, a flag makes membership at least {clear} times likelier "
        "in odds. Single records may be far more exposed."
    ),
    Word.WEAK: (
        "A leak is detectable. The evidence against the average person flagged is weak; "
        "single records may be more exposed."
    ),
    Word.INCONCLUSIVE: (
        "No leak was detected, but the test was too small to rule one out above what the policy "
        "tolerates."
    ),
    Word.NOT_FOUND: (
        "With these attacks no leak was detected, and what they could still flag lies below what "
        "the policy tolerates. This does not show that the risk is insignificant for every person."
    ),
    Word.NOT_TESTED: "Nothing was measured, so nothing is known.",
}

TONE = {
    Word.EXTRACTION: "leak",
    Word.STRONG: "leak",
    Word.CLEAR: "leak",
    Word.WEAK: "leak",
    Word.INVALID: "open",
    Word.INCONCLUSIVE: "open",
    Word.NOT_TESTED: "open",
    Word.NOT_FOUND: "bound",
}
"""Tone of a word: leak, open (no conclusion), bound (a limit was shown). There is no green."""

STATUS = {
    "complete": "every test that was asked for ran to its end",
    "incomplete": "something that was asked for did not run; see what was not tested",
    "invalid": "a validity control failed; the figures do not support a conclusion",
}

RESULT = {
    "pass": "passed",
    "warn": "warning",
    "fail": "failed",
    "not run": "not run",
}

ACCESS = {
    "labels": "sees the predicted class only",
    "top-k": "sees the likeliest classes with their probabilities",
    "confidences": "sees the probability of every class",
    "logits": "sees the raw outputs (logits) of the model",
    "weights": "has the whole model, weights included",
    "samples": "sees generated samples",
    "update": "holds the global model, and the update that a client sends in federated learning",
}

SAMPLING = {
    "all": "all members of the training data were tested",
    "random": "the members tested are a random sample of the training data",
    "other": "the members tested are neither all nor a random sample of the training data",
}

LEVELS = {"realistic": "Realistic adversary", "worst case": "Worst-case adversary"}

GLOSSARY = (
    ("Member", "A record (a person) that the model was trained on. A non-member was not."),
    (
        "Membership inference",
        "An attempt to tell from a model whether a given record was in its training data.",
    ),
    ("Flag", "The attacker's claim that a record is a member."),
    (
        "TPR",
        "True-positive rate: the share of members that are flagged. It is the attacker's yield.",
    ),
    (
        "FPR",
        "False-positive rate: the share of non-members that are flagged by mistake. An attacker "
        "who guesses has a TPR equal to the FPR.",
    ),
    (
        "Interval",
        "The range in which the true value lies, as far as the number of records can tell. "
        "Ranges are printed before single values, and rounded outwards.",
    ),
    (
        "Likelihood ratio",
        "TPR divided by FPR: by how much a flag multiplies the odds that a person is a member. "
        "The report gives a lower bound of it.",
    ),
    (
        "Positive predictive value (PPV)",
        "The share of flagged people who really are members. It depends on the prior: how many "
        "of the people whom the attacker has in mind are members to begin with.",
    ),
    (
        "Shadow model",
        "A model that the adversary trains for comparison, to learn how a model behaves with and "
        "without a record.",
    ),
    (
        "Placebo",
        "A model that never saw the records in question, attacked in the same way. What the "
        "attack seems to find there is no leak; it should find nothing.",
    ),
    (
        "Blind adversary",
        "An attacker who sees the records but never the model. If it tells members from "
        "non-members, the two groups differ by themselves and the test is invalid.",
    ),
    (
        "Mirror point",
        "The attack turned round: it clears records instead of flagging them, so that at most a "
        "declared share of members is cleared (FNR, false-negative rate).",
    ),
    (
        "ROC, AUC",
        "The curve of TPR against FPR over all thresholds, and the area under it: 0.5 is "
        "guessing. An average over everybody says nothing about the most exposed people.",
    ),
    (
        "Most vulnerable tenth",
        "The tenth of the records that looks most exposed: those whose outputs change most in "
        "shadow models trained on them or, without shadow models, those farthest from their "
        "neighbours. It is chosen without looking at who is a member.",
    ),
)
