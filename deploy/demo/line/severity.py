"""How bad a fault gets: the demo's own, or drawn from a seed between "an engineer would already
call it a fault" and "nobody could miss it".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Turn:
    """Where a knock leaves the camera: degrees about the middle, then a shift of the picture."""

    degrees: float = 3.0
    dx_px: float = 21.0
    dy_px: float = -13.0


@dataclass(frozen=True)
class Rag:
    """What hangs into the view: from the right after so many quarter turns, and its B, G, R."""

    quarters: int = 0
    colour: tuple[float, float, float] = (62.0, 66.0, 88.0)


@dataclass(frozen=True)
class Severity:
    """How bad each fault is when it has grown fully; the defaults are the demo's.

    Attributes:
        dirt: amount of grease and dust, 0..1.
        dirt_pattern: the seed of where they sit.
        cover: share of the view that the rag covers.
        rag: where it comes from and its colour.
        turn: where a knock leaves the camera.
        blur_px: standard deviation of the defocus.
        gain: factor on the light.
        recoded: whether a frozen picture passes an encoder that begins anew now and then; else its
            bytes repeat.
    """

    dirt: float = 1.0
    dirt_pattern: int = 77
    cover: float = 0.6
    rag: Rag = Rag()
    turn: Turn = Turn()
    blur_px: float = 4.0
    gain: float = 2.2
    recoded: bool = False

    def grown(self, amount: float) -> Severity:
        """What it is on its way, at ``amount`` of 0 to 1; a knock comes at once."""
        return replace(
            self,
            dirt=amount * self.dirt,
            cover=amount * self.cover,
            blur_px=amount * self.blur_px,
            gain=1 + amount * (self.gain - 1),
        )


THE_DEMOS = Severity()


def drawn(rng: np.random.Generator) -> Severity:
    """A severity at random. The mild ends:

    - dirt 0.25: a film that takes a fifth of the contrast, and dust that is just seen;
    - cover 0.06: one part in seventeen of the view is gone;
    - a shift of 0.8 % of the picture's width, with up to 4 degrees of turn;
    - blur of 1 pixel at 512 across: the name plate's print is no longer read with ease;
    - a quarter too bright, or a fifth too dark.
    """
    reach, way = rng.uniform(4, 30), rng.uniform(0, 2 * np.pi)
    bright = rng.random() < 0.5
    gain = np.exp(rng.uniform(*np.log((1.25, 2.8) if bright else (0.3, 0.8))))
    plain = rng.uniform(15, 235)
    colour = np.clip(plain + rng.uniform(-30, 30, 3), 5, 250)
    return Severity(
        dirt=float(rng.uniform(0.25, 1.0)),
        dirt_pattern=int(rng.integers(2**31)),
        cover=float(rng.uniform(0.06, 0.6)),
        rag=Rag(int(rng.integers(4)), (float(colour[0]), float(colour[1]), float(colour[2]))),
        turn=Turn(
            float(rng.uniform(-4, 4)), float(reach * np.cos(way)), float(reach * np.sin(way))
        ),
        blur_px=float(rng.uniform(1.0, 5.0)),
        gain=float(gain),
        recoded=bool(rng.random() < 0.5),
    )
