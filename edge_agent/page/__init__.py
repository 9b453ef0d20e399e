"""The page on the device: what the cameras see, what is wrong, what runs; for a browser.

`live.LivePage` is what the agent uses. Frames and messages come in through two listeners (`watch`,
`heard`) that only keep references; all else happens when somebody asks, in the server's threads.
"""

from edge_agent.page.live import LivePage

__all__ = ["LivePage"]
