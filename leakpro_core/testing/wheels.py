"""Tiny wheels, written by hand: for tests of vetting without a builder or a network."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    *,
    version: str = "1.0",
    entry_points: Mapping[str, str] | None = None,
) -> Path:
    """Write a pure-Python wheel with these files (text by path); return its path.

    entry_points: names and modules of the group ``leakpro.v1``.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    points = "".join(f"{k} = {v}\n" for k, v in (entry_points or {}).items())
    shipped = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[leakpro.v1]\n{points}" if points else "",
    }
    record = f"{info}/RECORD"
    lines = [f"{path},{_hash(text)},{len(text.encode())}\n" for path, text in shipped.items()]
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**shipped, record: "".join(lines) + f"{record},,\n"}.items():
            archive.writestr(path, text)
    return wheel


def install_wheel(wheel: Path, site: Path) -> Path:
    """Unpack a wheel into a folder, as an installer would; return its ``.dist-info`` folder."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        info = site / next(n for n in archive.namelist() if n.endswith("METADATA")).split("/")[0]
    (info / "INSTALLER").write_text("pip\n")
    return info


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
