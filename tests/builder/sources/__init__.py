"""Tests of builder.sources."""
