"""How a reconstruction looks: measures and exhibits. Nothing is decided by them."""

import io
import math
from collections.abc import Mapping

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Floats

BEST = 200.0
"""Largest PSNR in dB, which equal images have: a report holds no infinite numbers."""

TOLERANCE = 0.05
"""Standard deviations by which two numbers of a column may differ and still be called equal."""

_SHOWN = 64
"""Values of a record that are written out."""

_NOTHING = 1e-6
"""What is smaller than so much of a record's largest value is shown as 0: single precision, in
which updates are sent, tells it from 0 no more."""


@frozen(kw_only=True)
class Form:
    """What records are. mean, std: by channel, as they were normalised; groups: one-hot columns;
    text: whether integers are tokens.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    groups: tuple[tuple[int, ...], ...] = ()
    text: bool = False


def fidelity(records: AnyArray, guesses: AnyArray, form: Form) -> Mapping[str, Floats]:
    """Return measures by name, float64 ``[n]``, of pairs of records and guesses ``[n, ...]``.

    Images ``[n, 1 or 3, height, width]``, de-normalised and clamped to [0, 1]: PSNR in dB, at most
    200, and SSIM (Wang et al. 2004, 7x7 windows; none of images smaller than 3x3).
    Text (int64 tokens): the share of places with the right token.
    Rows ``[n, columns]``: the share of columns that are right, a group of one-hot columns by its
    largest and a number within .05 of its standard deviation over ``records``, and whether all are.
    Others: the root mean squared error.
    """
    if form.text:
        right = (records == guesses).reshape(len(records), -1)
        right, whole = right.mean(1), right.all(1).astype(np.float64)
        return {"tokens right (share)": right, "whole text right (share)": whole}
    if is_image(records.shape[1:]):
        of_bytes = records.dtype.kind in "iu"  # of guesses too, which may hold fractions
        both = (pixels(values, form, of_bytes=of_bytes) for values in (records, guesses))
        pairs = list(zip(*both, strict=True))
        found = {"PSNR (dB)": np.array([psnr(a, b) for a, b in pairs], np.float64)}
        if min(records.shape[2:]) >= 3:
            found["SSIM"] = np.array([ssim(a, b) for a, b in pairs], np.float64)
        return found
    if records.ndim == 2:
        return _of_rows(records, guesses, form)
    gap = (np.asarray(records, np.float64) - guesses).reshape(len(records), -1)
    return {"RMSE": np.sqrt(np.mean(gap * gap, axis=1))}


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether records of that shape are images, channels first."""
    return len(shape) == 3 and shape[0] in (1, 3)


def pixels(images: AnyArray, form: Form, *, of_bytes: bool) -> Floats:
    """Return images ``[..., channels, height, width]`` de-normalised and clamped to [0, 1].

    of_bytes: whether those that were not normalised are from 0 to 255.
    """
    values = np.asarray(images, np.float64)
    if form.mean is None and form.std is None:
        return np.clip(values / 255 if of_bytes else values, 0.0, 1.0)
    mean, std = (
        np.asarray(default if given is None else given, np.float64).reshape(-1, 1, 1)
        for given, default in ((form.mean, (0.0,)), (form.std, (1.0,)))
    )
    return np.clip(values * std + mean, 0.0, 1.0)


def psnr(image: Floats, guess: Floats) -> float:
    """Return the peak signal-to-noise ratio in dB, at most 200, of values from 0 to 1."""
    error = float(np.mean((image - guess) ** 2))
    return BEST if error <= 10 ** (-BEST / 10) else -10.0 * math.log10(error)


def ssim(image: Floats, guess: Floats) -> float:
    """Return the structural similarity of two images ``[channels, height, width]``."""
    from skimage.metrics import structural_similarity

    side = min(7, *image.shape[1:])
    window = side if side % 2 else side - 1
    return float(
        structural_similarity(image, guess, win_size=window, data_range=1.0, channel_axis=0)  # type: ignore[no-untyped-call]
    )


def shown(record: AnyArray, form: Form) -> bytes | str:
    """Return an image ``[1 or 3, height, width]`` as PNG, any other record as text."""
    if form.text:
        return _listed([str(int(token)) for token in record.reshape(-1)])
    if is_image(record.shape):
        return _png(pixels(record, form, of_bytes=record.dtype.kind in "iu"))
    if record.ndim == 1:
        grouped = {column for group in form.groups for column in group}
        said = {
            group[0]: f"columns {group[0]}-{group[-1]}: {int(np.argmax(record[list(group)]))}"
            for group in form.groups
        }
        written = _written(record, form)
        plain = {c: text for c, text in enumerate(written) if c not in grouped}
        return _listed([text for _, text in sorted((said | plain).items())])
    return _listed(_written(record.reshape(-1), form))


def _written(values: AnyArray, form: Form) -> list[str]:
    """Return numbers with four digits; what is nothing but rounding as 0."""
    sizes = np.abs(values[np.isfinite(values)].astype(np.float64))
    # Of a normalised column 1 is large, whatever the others hold.
    largest = max(float(sizes.max(initial=0.0)), 1.0 if form.std is not None else 0.0)
    tiny = _NOTHING * largest
    return ["0" if abs(v) <= tiny else f"{v:.4g}" for v in map(float, values)]


def _of_rows(records: AnyArray, guesses: AnyArray, form: Form) -> dict[str, Floats]:
    there, here = np.asarray(records, np.float64), np.asarray(guesses, np.float64)
    grouped = {column for group in form.groups for column in group}
    numbers = [column for column in range(there.shape[1]) if column not in grouped]
    right = [
        there[:, list(group)].argmax(1) == here[:, list(group)].argmax(1) for group in form.groups
    ]
    # Of a normalised column the deviation is that of the population, 1; it is also taken for
    # that of a column in which these few records do not differ.
    spread = np.zeros(there.shape[1]) if form.std is not None else there.std(axis=0)
    unit = np.where(spread > 0, spread, 1.0)
    right += [np.abs(there[:, c] - here[:, c]) <= TOLERANCE * unit[c] + 1e-9 for c in numbers]
    table = np.stack(right, axis=1)
    whole = table.all(1).astype(np.float64)
    return {"columns right (share)": table.mean(1), "whole row right (share)": whole}


def _listed(parts: list[str]) -> str:
    more = len(parts) - _SHOWN
    return ", ".join(parts[:_SHOWN]) + (f", and {more} more" if more > 0 else "")


def _png(image: Floats) -> bytes:
    from PIL import Image

    levels = np.rint(255 * np.nan_to_num(image)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, 2)).save(file, "PNG")
    return file.getvalue()
