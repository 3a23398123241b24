"""Images of CIFAR-10 for tests, skipped where the data is not there."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from cifar10 import DATA, decoded

FILE = DATA / "cifar10-train.parquet"
MEAN = np.array([0.4915, 0.4823, 0.4468], np.float32)[:, None, None]
STD = np.array([0.247, 0.2435, 0.2616], np.float32)[:, None, None]

needed = pytest.mark.skipif(not FILE.exists(), reason=f"no {FILE.name} in shared/data")


def images(count, start=0):
    """Return normalised images float32 ``[n, 3, 32, 32]`` and labels int64, in the file's order."""
    table = next(pq.ParquetFile(FILE).iter_batches(start + count)).slice(start)
    x = np.stack([decoded(content.as_py()) for content in table["image"]]).astype(np.float32)
    return (x / 255.0 - MEAN) / STD, np.array(table["label"]).astype(np.int64)
