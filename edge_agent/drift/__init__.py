"""Drift without crying wolf: independent samples, windows of every length, one false-alarm budget.

A frame is sampled at the camera's decorrelation time (`sampling`), counted into blocks (`blocks`),
and every window of blocks is tested against a frozen baseline (`contrast`); a verdict (`verdict`)
needs significance inside the budget and an effect that matters. docs/drift.md has the figures.
"""
