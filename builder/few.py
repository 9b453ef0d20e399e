"""What a dataset is too small for, in words: rules over counts.

The limits are where chance begins to decide. A profile of m images against as many live ones has a
PSI of about (1/n + 1/m) * (bins - 1) when nothing has changed: with 10 bins and 100 images its own
share of that is 0.09, as much as the usual alarm at 0.1.
"""

from __future__ import annotations

from edge_agent.checked import plural

PROFILE_IMAGES = 100


def few_for_profile(images: int) -> str | None:
    """A warning about the reference profile, None when there are enough images."""
    if images >= PROFILE_IMAGES:
        return None
    return (
        f"the reference profile is of {plural(images, 'image')} only: below {PROFILE_IMAGES} chance"
        " alone looks like drift; give more --reference-data"
    )


def few_for_golden(images: int, wanted: int) -> str | None:
    """A warning about the golden set, None when there are as many images as frames are wanted."""
    if images >= wanted:
        return None
    return (
        f"the golden set is chosen from {plural(images, 'image')} only ({wanted} frames are"
        " wanted): it proves little; give more --reference-data"
    )


def few_for_calibration(precision: str, images: int, wanted: int) -> str | None:
    """A warning about the ranges of an int8 graph, None when there are enough images."""
    if images >= wanted:
        return None
    return (
        f"{precision} is calibrated on {plural(images, 'image')} only ({wanted} are wanted): its"
        " ranges may not hold for others; give more --reference-data"
    )
