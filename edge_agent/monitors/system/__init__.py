"""System metrics: psutil for the host, sysfs for boards, NVML for other NVIDIA GPUs.

`reader` puts them together; `sysfs` reads thermal zones, throttling and a Jetson's GPU, `rails` the
power of a Jetson, `nvml` what a driver says. A reading that is not there is absent, never zero.
"""

from edge_agent.monitors.system.reader import SELDOM, SystemReader

__all__ = ["SELDOM", "SystemReader"]
