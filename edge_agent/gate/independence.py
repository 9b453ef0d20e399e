"""How many frames show the same thing: the integrated autocorrelation time of a statistic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WINDOW_TIMES = 5.0
"""The sum ends at the first lag that is this many times the sum so far (Sokal's rule)."""


def autocorrelation_time(values: npt.ArrayLike) -> float:
    """``1 + 2 * sum(rho(k))``, in steps of the series: so many values are worth one that is free.

    The sum over the autocorrelations rho(k) ends by the automatic windowing of Sokal, "Monte Carlo
    methods in statistical mechanics" (Cargèse lectures, 1996), section 3: where the noise of
    further lags would outweigh what they still hold. For an AR(1) process it is
    ``(1 + rho) / (1 - rho)``.

    Returns:
        At least 1, and 1 for a constant series; at most about a fifth of the series' length, so a
        value near that says "at least".
    """
    series = np.asarray(values, np.float64)
    centred = series - series.mean() if series.size else series
    variance = float(centred @ centred)
    if series.size < 4 or variance <= 1e-12 * max(1.0, float(series @ series)):
        return 1.0
    spectrum = np.fft.rfft(centred, 2 * series.size)
    together = np.fft.irfft(np.abs(spectrum) ** 2)[: series.size]
    sums = 2.0 * np.cumsum(together / together[0]) - 1.0
    lags = np.arange(series.size)
    ended = np.nonzero(lags >= WINDOW_TIMES * sums)[0]
    return max(1.0, float(sums[ended[0] if ended.size else -1]))
