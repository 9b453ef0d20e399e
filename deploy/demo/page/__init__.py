"""The demo report: one self-contained page."""
