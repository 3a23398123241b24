"""A peer's real audit of Adult, through the arrays loader: our figures against its own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from leakpro_core.cli import main
from leakpro_core.statistics import auc, tpr_at_fpr

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "membership_adult.npz"

PLAN = """
schema = 1
[target]
loader = "arrays"
path = "outputs.npz"
[controls]
placebo = 0
curve = false
[[attacks]]
name = "ratio"
temperature = 2.0
"""


@pytest.fixture(scope="module")
def peer() -> Iterator[dict[str, np.ndarray]]:
    if not REFERENCE.is_file():
        pytest.skip("the reference audit is not on this machine")
    with np.load(REFERENCE) as archive:
        yield dict(archive)


@pytest.fixture(scope="module")
def evidence(peer: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adult")
    np.savez(
        folder / "outputs.npz",
        target_outputs=peer["target_logits"],
        shadow_outputs=peer["shadow_logits"],
        trained_on=peer["shadow_in_mask"],
        labels=peer["labels"],
        members=peer["membership"],
    )
    (folder / "audit.toml").write_text(PLAN)
    assert main(["audit", str(folder / "audit.toml"), "--out", str(folder / "run")]) == 1
    return folder / "run" / "evidence" / "ratio.parquet"


def test_ratio_at_temperature_2_has_the_peers_auc_and_rate(evidence: Path) -> None:
    table = pq.read_table(evidence)
    claims = table["claim"].to_numpy()
    exposed = np.array(table["arm"].to_pylist()) == "exposed"
    assert auc(claims, exposed).value == pytest.approx(0.6404, abs=0.0002)
    assert tpr_at_fpr(claims, exposed, 0.01).tpr == pytest.approx(0.069, abs=0.001)


def test_ratio_ranks_records_as_the_peer_does(evidence: Path, peer: dict[str, np.ndarray]) -> None:
    table = pq.read_table(evidence)
    order = table["subject"].to_numpy()
    np.testing.assert_array_equal(np.arange(20_000), order)
    theirs = peer["score_base_online"][order]
    assert spearmanr(table["claim"].to_numpy(), theirs).statistic > 0.9999
