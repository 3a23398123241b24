"""Plain words of audits of federated updates. No number is made here."""

from leakpro_core.report import Word
from leakpro_html.game_words import Arms, GameWords

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
        "reconstructions beside the records that they come nearest to, and beside what is guessed "
        "without the update"
    ),
)

INVERSION = GameWords(
    title="Gradient inversion",
    question="Can records of a client's batch be read from its update?",
    chart="client's batches",
    rule=(
        "The adversary holds the global model and the update, and says what the records were. "
        "Each reconstruction names its nearest among the batch's records and decoys that were in "
        "no update. Identified: the nearest is of the batch. Recovered: a record to which some "
        "reconstruction is nearer than half the way to the nearest record that the adversary may "
        "know. Control: a batch of decoys, by the same procedure. Blind: known records in the "
        "place of reconstructions. Records of one batch share one update, so batches are counted."
    ),
    claims="claims",
    exposed="come true for the client's batch",
    control="for a batch of decoys",
    facet="what is claimed",
)

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
}
"""What words mean in audits of updates, where it is not what they mean in others."""

GLOSSARY = (
    (
        "Update",
        "What a client sends in federated learning: a gradient, or how local training moved the "
        "model's weights. Its records stay with the client.",
    ),
    ("Batch", "The records that one update was made of."),
    (
        "Decoys",
        "Records of the same source that were in no update, and of the same classes as the batch. "
        "A reconstruction that knows nothing names one of the batch as often as its share among "
        "all of them; that chance is printed as luck.",
    ),
    (
        "Identified, recovered",
        "Identified: a reconstruction is nearer to a record of the batch than to all decoys; a "
        "blurred picture may be, too. Recovered: it is nearer than half the way to the nearest "
        "record that the adversary may know.",
    ),
    (
        "Certificate",
        "A demonstration by the update alone: the reconstructions give the update that was sent, "
        "and the attack shows that no others do.",
    ),
    (
        "Residual",
        "How far the update that reconstructions give lies from the one that was sent, relative to "
        "its length. Attacks choose by it, since they never see the records.",
    ),
    ("Claim, hit", "What the adversary says about a batch, and a claim that comes true."),
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
        "How like two pictures look. They describe, and decide nothing.",
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

UNUSED = ("Shadow model", "Placebo")
"""Terms of the glossary that no audit of updates speaks of."""
