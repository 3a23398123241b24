"""Flower: what a server receives from a client, or what leaves one, as files that can be audited.

``RecordingStrategy`` wraps any strategy of a ServerApp; ``recording_mod`` is a mod of a ClientApp.
Both need the extra: ``pip install 'leakpro-fl[flower]'``. The rest of leakpro_fl does not.
"""

from leakpro_core.errors import ReferenceNotFound

try:
    from flwr.serverapp.strategy import Strategy as _Strategy  # noqa: F401
except ImportError as error:
    raise ReferenceNotFound(
        "leakpro_fl.flower",
        found=f"no Flower with strategies of messages in this environment ({error})",
        expected="flwr 1.41",
        fix="Install it: pip install 'leakpro-fl[flower]'.",
    ) from error

from leakpro_fl.flower.mod import recording_mod
from leakpro_fl.flower.recording import Recording
from leakpro_fl.flower.strategy import RecordingStrategy

__all__ = ["Recording", "RecordingStrategy", "recording_mod"]
