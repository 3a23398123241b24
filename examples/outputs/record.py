"""Record outputs of a target and of shadow models, made with any framework, for an audit."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

x, y = load_digits(return_X_y=True)
n, shadows = len(x), 8
random = np.random.default_rng(1)


def half() -> np.ndarray:
    """Return who is in: bool [n], half of them."""
    return random.permutation(n) < n // 2


def outputs(members: np.ndarray) -> np.ndarray:
    """Return log-probabilities [n, classes] of a model that was trained on the members."""
    model = RandomForestClassifier(50, random_state=1).fit(x[members], y[members])
    return np.log(model.predict_proba(x) + 1e-3)


members = half()
halves = [half() for _ in range(shadows // 2)]
trained_on = np.stack([side for h in halves for side in (h, ~h)])  # twins: every record has both
np.savez(
    "outputs.npz",
    target_outputs=outputs(members),
    shadow_outputs=np.stack([outputs(row) for row in trained_on]),
    trained_on=trained_on,
    labels=y,
    members=members,
    records=x,
)
