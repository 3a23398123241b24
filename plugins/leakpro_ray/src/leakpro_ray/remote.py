"""What a Ray worker runs. It imports core alone, which verifies plugins before it imports them."""

import os
import pickle
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version

from attrs import field, frozen

from leakpro_core.work import Work, pack

_SAME = ("leakpro-core", "numpy")


@frozen(kw_only=True)
class Caller:
    """What a worker is told of the caller.

    versions: that a worker must have too; path: where modules are looked for, None: as the worker
    does; without: a folder that Ray adds to that, and that a plugin could be shadowed from.
    """

    versions: dict[str, str]
    path: list[str] | None = field(repr=False)
    without: str | None

    def arguments(self, work: Work) -> tuple[object, ...]:
        """Return what the remote function is called with: nothing that core is needed to read."""
        vetting = pickle.dumps(work.vetting)
        return self.versions, self.path, self.without, vetting, pack(work)


def caller(*, own: bool) -> Caller:
    """Return what is so here. own: the Ray is of this machine and this environment."""
    folder = os.path.abspath(os.curdir)  # noqa: PTH100 - as Ray spells it
    return Caller(
        versions={"Python": platform.python_version(), **{name: version(name) for name in _SAME}},
        path=list(sys.path) if own else None,
        without=None if folder in sys.path else folder,
    )


def remote_function() -> Callable[..., tuple[bool | None, object]]:
    """Return ``answer`` for Ray: as a function in a function it travels by value.

    By reference, a worker would import this module, and so a plugin, before it has verified any.
    """

    def unit(versions, path, without, vetting, payload, *data):  # type: ignore[no-untyped-def]
        import pickle
        import platform
        import sys
        from importlib.metadata import PackageNotFoundError, version

        sys.path[:] = [folder for folder in path or sys.path if folder != without]
        found = {"Python": platform.python_version()}
        for name in versions.keys() - found.keys():
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "not installed"
        if found != versions:
            return None, found
        from leakpro_core.work import answer

        return answer(pickle.loads(vetting), payload, data, kept=False)  # noqa: S301 - the caller's

    return unit
