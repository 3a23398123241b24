"""How much memory this process takes, and how much is free for it and those that it starts.

Read from Linux's own files: what the kernel says is available, and the limits of the control
groups that the process is in (a container's, a batch job's). Elsewhere it is not known.
"""

from collections.abc import Iterator
from pathlib import Path


def available(root: Path = Path("/")) -> int | None:
    """Return bytes that can be taken without swapping, None where that is not known.

    root: where ``proc`` and ``sys`` are.
    """
    figures = [_machine(root), *_groups(root)]
    return min((figure for figure in figures if figure is not None), default=None)


def taken(root: Path = Path("/")) -> int:
    """Return bytes of anonymous memory of this process, 0 where that is not known."""
    return 1024 * _table(root / "proc/self/status").get("RssAnon", 0)


def _machine(root: Path) -> int | None:
    value = _table(root / "proc/meminfo").get("MemAvailable")
    return None if value is None else 1024 * value


def _groups(root: Path) -> Iterator[int | None]:
    """Yield what is left of the limit of each group, from the process's own to the root's."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Inside a container the path may be the host's, which is not to be seen from there.
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(base):
                yield _left(folder, limit, used)


def _left(folder: Path, limit: str, used: str) -> int | None:
    most, now = _text(folder / limit).strip(), _text(folder / used).strip()
    if not (most.isdigit() and now.isdigit()):  # "max": there is no limit
        return None
    # Cached files count as used, and are given up when memory is asked for.
    cached = _table(folder / "memory.stat").get("inactive_file", 0)
    return max(0, int(most) - int(now) + cached)


def _table(path: Path) -> dict[str, int]:
    """Return the first number of each line, by the line's first word."""
    words = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
