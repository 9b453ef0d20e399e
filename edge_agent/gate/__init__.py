"""The input check: is what the camera gives fit to be judged by the model?

``view`` what is looked at -> ``standard`` (``ssim``, ``pose``, ``regions``, ``pulse``) what is
measured -> ``measures`` scores -> ``candidates`` the best reference -> ``check`` the verdict, in
``words``. ``learn`` makes a ``baseline`` of good frames.
"""

from edge_agent.gate.baseline import Baseline
from edge_agent.gate.check import Gate, ssim_from_profile
from edge_agent.gate.hysteresis import Hysteresis
from edge_agent.gate.ssim import Reference
from edge_agent.gate.statistics import Statistics, measure
from edge_agent.gate.verdict import CheckScore, Verdict

__all__ = [
    "Baseline",
    "CheckScore",
    "Gate",
    "Hysteresis",
    "Reference",
    "Statistics",
    "Verdict",
    "measure",
    "ssim_from_profile",
]
