"""Attacks that try to cheat: one looks at everything that it can reach, one trusts positions."""

import gc
from collections import deque
from types import BuiltinFunctionType, FrameType, ModuleType

import numpy as np

from leakpro_core.errors import NeedsBothSides
from leakpro_core.games.membership import MembershipAnswer, MembershipChallenge

FOUND: list[np.ndarray] = []
FILES: list[str] = []
LIMIT = 200_000


def _is_namespace(value: object) -> bool:
    return isinstance(value, dict) and "__spec__" in value and "__name__" in value


def reachable(*roots: object) -> list[object]:
    """Return what can be reached by attributes, closures, referents, ``.base``; not modules."""
    seen: dict[int, object] = {}
    waiting = deque(roots)
    while waiting and len(seen) < LIMIT:
        value = waiting.popleft()
        skip = (ModuleType, type, FrameType, BuiltinFunctionType)
        if id(value) in seen or isinstance(value, skip) or _is_namespace(value):
            continue
        seen[id(value)] = value
        waiting.extend(gc.get_referents(value))
        if isinstance(value, np.ndarray) and value.base is not None:
            waiting.append(value.base)
    return list(seen.values())


def look(challenge: MembershipChallenge, options: object, run) -> MembershipAnswer:
    FOUND.clear()
    FILES.clear()
    for value in reachable(challenge, options, run):
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            FOUND.append(np.array(value))
        name = getattr(value, "filename", None)
        if name:
            FILES.append(str(name))
    FILES.extend(str(p) for p in run.scratch.rglob("*"))
    return MembershipAnswer(claims=np.zeros(len(challenge.ids)))


def by_position(challenge: MembershipChallenge, options: object, run) -> MembershipAnswer:
    return MembershipAnswer(claims=-np.arange(len(challenge.ids), dtype=float))


def by_column_sums(challenge: MembershipChallenge, options: object, run) -> MembershipAnswer:
    return MembershipAnswer(claims=-challenge.trained_on.sum(0).astype(float))


def both_sides(challenge: MembershipChallenge, options: object, run) -> MembershipAnswer:
    seen = challenge.trained_on.sum(axis=0)
    if (seen == 0).any() or (seen == len(challenge.trained_on)).any():
        raise NeedsBothSides("some record")
    return MembershipAnswer(claims=challenge.target.margin[:, 0])


def sulk(challenge: MembershipChallenge, options: object, run) -> MembershipAnswer:
    raise RuntimeError("no mood for attacking\nand a second line")


def short(challenge: MembershipChallenge, options: object, run) -> MembershipAnswer:
    return MembershipAnswer(claims=np.zeros(3))


def nothing(challenge: MembershipChallenge, options: object, run) -> object:
    return None
