"""Plain words of audits of federated updates. No number is made here."""

from leakpro_core.games.gradient_inversion import IDENTIFIED, LABELS, RECOVERED
from leakpro_core.report import Word
from leakpro_html.game_words import Arms, Claims, GameWords

KIND = "update"
"""The kind of target that is audited as updates."""

BATCHES = Arms(
    exposed=("Clients'", "batches"),
    control=("Decoy", "batches"),
    unit="batches",
    for_exposed="for clients' batches",
    for_control="for decoy batches",
    others="decoy batches",
    many="batches",
    distinct="Batches about which a claim came true",
    exhibits=(
        "reconstructions, each beside the record that it is matched with where the client's batch "
        "was given, and beside what is guessed without the update"
    ),
)

INVERSION = GameWords(
    title="Gradient inversion",
    question="Can records of a client's batch be read from its update?",
    chart="clients' batches",
    rule=(
        "The adversary holds the global model and the update, and says what the records were. "
        "Each reconstruction names its nearest among the batch's records and decoys, which were in "
        "no update. Identified: the nearest is of the batch. Recovered: a record to which some "
        "reconstruction comes nearer than half as far as the nearest record that the adversary may "
        "know already. Labels: the classes of the records, where the adversary must find them out. "
        "Control: a batch of decoys, by the same procedure. Blind: known records in the "
        "place of reconstructions. Records of one batch share one update, so batches are counted."
    ),
    claims="claims",
    exposed="come true for the client's batch",
    control="for a batch of decoys",
    facet="what is claimed",
    facets={
        IDENTIFIED: Claims(
            many="reconstructions",
            exposed="are nearest to a record of the client's batch",
            control="to one of a batch of decoys",
            could="be nearest to a record of the client's batch than to one of a batch of decoys",
        ),
        RECOVERED: Claims(
            many="records of a client's batch",
            exposed="are recovered",
            control="of a batch of decoys",
            could="be recovered than of a batch of decoys",
        ),
        LABELS: Claims(
            many="labels",
            exposed="are right about the client's batch",
            control="about a batch of decoys",
            could="be right about the client's batch than about a batch of decoys",
        ),
    },
)

SAMPLING = "these were drawn at random from the records that were given as the clients'"
RECEIVED = "it says nothing about other updates, of these clients or of others"

MEANING = {
    Word.EXTRACTION: (
        "Records of clients were recovered, more often than of decoy batches, and more often than "
        "by an adversary who never saw an update; or a certificate shows them by the update alone."
    ),
    Word.STRONG: (
        "The odds that a claim comes true are at least {strong} times as high for clients' "
        "batches as for decoys, on average over those claims; in membership, a flag makes it at "
        "least {strong} times likelier in odds. Single records may be far more exposed."
    ),
    Word.CLEAR: (
        "The odds that a claim comes true are at least {clear} times as high for clients' "
        "batches as for decoys, on average over those claims; in membership, a flag makes it at "
        "least {clear} times likelier in odds. Single records may be far more exposed."
    ),
    Word.WEAK: (
        "A leak is detectable. The evidence about the average record is weak; single records may "
        "be more exposed."
    ),
    Word.NOT_FOUND: (
        "With these attacks no leak was detected, and what could still come true, or be flagged, "
        "lies below what the policy tolerates. This does not show that the risk is insignificant "
        "for every record."
    ),
    Word.NOT_TESTED: "Nothing was measured, or nothing of it can be judged: nothing is known.",
}
"""What words mean in audits of updates, where it is not what they mean in others."""

GLOSSARY = (
    (
        "Federated learning, update",
        "Clients train a common model on records that stay with them, and send updates of it to a "
        "server: a gradient, or how training moved the model's weights. Records are not sent, but "
        "an update is computed from them.",
    ),
    ("Batch", "The records that one update was made of."),
    ("Label", "The class of a record, which the model is to predict."),
    (
        "Reconstruction",
        "What an adversary says that a record of the batch was.",
    ),
    (
        "Decoys",
        "Records of the same source that were in no update, and of the same classes as the batch. "
        "A reconstruction that knows nothing names one of the batch as often as its share among "
        "all of them; that chance is printed as luck.",
    ),
    (
        "Identified",
        "A reconstruction is nearer to a record of the batch than to any decoy. That is less than "
        "to recover it: a blurred picture may be identified, too.",
    ),
    (
        "Recovered",
        "A reconstruction comes nearer to a record than half as far as the nearest one that the "
        "adversary may know already: nearer than what is known without the update.",
    ),
    (
        "Certificate",
        "A demonstration by the update alone, for which nobody needs the client's records: the "
        "attack shows that no other records give the update that was sent, and LeakPro computes "
        "that update again from them. One wrong certificate discredits all those of its attack.",
    ),
    (
        "Residual",
        "How far the update that is computed from reconstructions lies from the one that was sent, "
        "in lengths of the latter: 0 is the same update. Attacks choose by it, since they never "
        "see the records.",
    ),
    (
        "Auxiliary records",
        "Records of the same source that the adversary may know; they were in no update.",
    ),
    (
        "What an adversary may know",
        "Hyper-parameters: how the client trains, such as the length and number of its steps. "
        "Batch-norm statistics: averages over their records that some models keep and send. "
        "Candidate records: people of whom it asks whether they were in the batch.",
    ),
    (
        "Claim, hit",
        "What the adversary says about a batch, and a claim that comes true. Surest tenth: the "
        "tenth of the claims that it is surest of.",
    ),
    (
        "Excess",
        "Hit rate for clients' batches minus hit rate for decoy batches, in percentage points. It "
        "is negative where decoys are higher, and printed so.",
    ),
    (
        "L",
        "Lower bound of the odds of a hit for clients' batches over the odds for decoy batches, "
        "corrected for all attacks, points and adversaries.",
    ),
    (
        "PSNR, SSIM",
        "How like two pictures look: PSNR in decibels (dB), the higher the liker; SSIM from 0 to "
        "1, where they are the same. They describe, and decide nothing.",
    ),
)

MEMBERSHIP_GLOSSARY = {
    "Member": "A record (a person) that updates were made of. A non-member was in none.",
    "Membership inference": (
        "An attempt to tell from updates whether a given record was among the client's."
    ),
    "Blind adversary": (
        "An attacker who never sees an update, and plays with all else that the adversary has."
    ),
    "Most vulnerable tenth": (
        "The tenth of the records that looks most exposed: those farthest from their neighbours. "
        "It is chosen without looking at who is a member."
    ),
}
"""Terms of the glossary that mean another thing in audits of updates."""

_UNUSED = ("Shadow model", "Placebo")
_ALWAYS = ("Interval", "Blind adversary")


def speaks_of(term: str, *, detection: bool) -> bool:
    """Return whether an audit of updates, with membership or without, speaks of that term."""
    return term in _ALWAYS or (detection and term not in _UNUSED)
