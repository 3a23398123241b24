"""What attacks answered, kept in the run folder, so that a run that goes on does not play again."""

import hashlib

import numpy as np

from leakpro_core.arrays import AnyArray, Floats
from leakpro_core.files import Shelf, save_array
from leakpro_core.games.membership import rounds
from leakpro_core.plan import ChosenAttack
from leakpro_core.play import Played, join
from leakpro_core.records import Evidence
from leakpro_core.scene import Scene

_WHOLE, _FEWER, _PLACEBOS, _USED = "claims", "fewer/", "placebos", "used"


def recall(shelf: Shelf, scene: Scene, attack: ChosenAttack) -> Played | None:
    """Return what an earlier run of the same plan played to its end, None where it did not."""
    names = shelf.recall(_key(scene, attack))
    if names is None:
        return None
    arrays = {name: shelf.array(file) for name, file in names.items()}
    whole = _evidence(scene, arrays[_WHOLE])
    sizes = sorted(int(n.removeprefix(_FEWER)) for n in arrays if n.startswith(_FEWER))
    offer = attack.offered.offer
    return Played(
        attack=attack,
        adversary=scene.adversary,
        evidence=join(whole),
        fewer=tuple((k, join(_evidence(scene, arrays[f"{_FEWER}{k}"]))) for k in sizes),
        most=join(whole[:4]) if scene.curve and offer.shadows else None,
        placebos=arrays.get(_PLACEBOS),
        queries_used=int(arrays[_USED][0]),
    )


def keep(shelf: Shelf, scene: Scene, played: Played) -> Played:
    """Note an attack that was played to its end; return it."""
    if played.evidence is None:
        return played
    arrays: dict[str, AnyArray] = {
        _WHOLE: _claims(scene, played.evidence),
        _USED: np.array([played.queries_used]),
    }
    arrays |= {f"{_FEWER}{size}": _claims(scene, each) for size, each in played.fewer}
    if played.placebos is not None:
        arrays[_PLACEBOS] = played.placebos
    names = {name: save_array(shelf.folder, values) for name, values in arrays.items()}
    shelf.note(_key(scene, played.attack), names)
    return played


def _key(scene: Scene, attack: ChosenAttack) -> str:
    """Return the name of an attack's note; the folder is of one plan, seed and set of plugins."""
    name = f"{attack.label}@{scene.adversary.name}"
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def _claims(scene: Scene, evidence: Evidence) -> Floats:
    """Return the claims ``[targets, reached candidates]``."""
    return evidence.claim.reshape(-1, len(scene.rows))


def _evidence(scene: Scene, claims: Floats) -> list[Evidence]:
    """Return the rounds of each target, as the referee gives them."""
    rows = np.sort(scene.rows)
    return [
        rounds(
            scene.cast.population.subjects[rows],
            scene.cast.members[target][rows],
            each,
            blind=None if scene.blind is None else scene.blind[target][rows],
            cluster=target,
        )
        for target, each in enumerate(claims)
    ]
