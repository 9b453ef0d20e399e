"""Drift without crying wolf: independent samples, windows of every length, one false-alarm budget.

A frame is sampled at the camera's decorrelation time (`sampling`), counted into blocks
(`gathering`), and every window of blocks is tested against a frozen baseline (`contrast`); a
verdict (`verdict`) needs significance inside the budget, which cameras share (`budget`), and an
effect that matters. docs/drift.md has the figures.
"""
