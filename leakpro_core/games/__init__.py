"""The games. One module each, all of the same shape:

    Challenge   what the adversary gets: no membership bit, original or secret
    Answer      what it says
    challenge() draws and shuffles; keeps the Secret
    referee()   compares Answer with Secret, yields Evidence

``membership`` is here; the others come with the plugins that play them.
"""

from attrs import frozen

from leakpro_core.errors import UnknownName, nearest


@frozen(kw_only=True)
class Game:
    """A row of the table of games.

    kind: "detection" (claims of the arms are compared) or "success" (hit rates are).
    module: where it is played; None: named, and not played by this version.
    """

    name: str
    kind: str
    exposed: str
    control: str
    blind: str
    module: str | None = None


GAMES = (
    Game(
        name="membership",
        kind="detection",
        exposed="members",
        control="non-members",
        blind="cross-fitted classifier of the raw records",
        module="leakpro_core.games.membership",
    ),
    Game(
        name="reconstruction",
        kind="success",
        exposed="the batch or class really used",
        control="decoys, same procedure",
        blind="best guess from auxiliary data alone",
    ),
    Game(
        name="gradient-inversion",
        kind="success",
        exposed="the client's batch",
        control="decoy batches, same procedure",
        blind="the same without the update",
        module="leakpro_core.games.gradient_inversion",
    ),
    Game(
        name="attribute-inference",
        kind="success",
        exposed="people in the training data",
        control="control people",
        blind="best guess without the release",
        module="leakpro_core.games.attribute_inference",
    ),
    Game(
        name="property-inference",
        kind="detection",
        exposed="worlds with the property",
        control="worlds without it",
        blind="the prior",
    ),
    Game(
        name="singling-out",
        kind="success",
        exposed="isolates one training row",
        control="isolates one control row, equal n",
        blind="predicates of equal weight from auxiliary data",
        module="leakpro_core.games.singling_out",
    ),
    Game(
        name="linkability",
        kind="success",
        exposed="people in the training data",
        control="control people",
        blind="pairs by the halves' common structure in auxiliary data",
        module="leakpro_core.games.linkability",
    ),
    Game(
        name="copies",
        kind="success",
        exposed="repeats a training row",
        control="repeats a control row, equal n",
        blind="auxiliary rows in the place of the released ones",
        module="leakpro_core.games.copies",
    ),
)


def game(name: str) -> Game:
    """Return the game of that name; ``UnknownName`` names the nearest one."""
    for known in GAMES:
        if known.name == name:
            return known
    raise UnknownName(
        "game",
        found=repr(name),
        expected="one of the games",
        fix=nearest(name, [g.name for g in GAMES]),
    )
