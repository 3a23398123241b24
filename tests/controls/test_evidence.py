"""The figures that the documentation quotes belong to this code."""

from evidence import stale


def test_the_full_counts_belong_to_this_code() -> None:
    assert stale("controls") is None
