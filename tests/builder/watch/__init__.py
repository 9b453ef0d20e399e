"""Tests of builder.watch."""
