"""What is free: the machine's memory, and the limits of control groups, old and new."""

from pathlib import Path

import pytest

from leakpro_core.memory import available

MEMINFO = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "proc/meminfo", MEMINFO)
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_without_limits_it_is_what_the_kernel_says(root):
    assert available(root) == 8000 * 1024


def test_it_is_not_known_where_nothing_says_so(tmp_path):
    assert available(tmp_path) is None


def test_the_limit_of_a_group_counts_without_cached_files(root):
    write(root, "proc/self/cgroup", "0::/job\n")
    write(root, "sys/fs/cgroup/job/memory.max", "5000000\n")
    write(root, "sys/fs/cgroup/job/memory.current", "3000000\n")
    write(root, "sys/fs/cgroup/job/memory.stat", "anon 2000000\ninactive_file 1000000\n")
    assert available(root) == 3_000_000


def test_the_limit_of_a_group_around_it_counts(root):
    write(root, "proc/self/cgroup", "0::/batch/job\n")
    write(root, "sys/fs/cgroup/batch/job/memory.max", "max\n")
    write(root, "sys/fs/cgroup/batch/job/memory.current", "10\n")
    write(root, "sys/fs/cgroup/batch/memory.max", "500\n")
    write(root, "sys/fs/cgroup/batch/memory.current", "400\n")
    assert available(root) == 100


def test_old_groups_count_and_those_of_a_host_that_is_not_seen_do_not_matter(root):
    write(root, "proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/0e80\n0::/\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "700\n")
    write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "900\n")
    assert available(root) == 0


def test_a_limit_larger_than_the_machine_is_none(root):
    write(root, "proc/self/cgroup", "4:memory:/\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{2**63 - 4096}\n")
    write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "900\n")
    assert available(root) == 8000 * 1024


def test_this_machine_says_something_plausible():
    assert not Path("/proc/meminfo").exists() or available() > 2**20
