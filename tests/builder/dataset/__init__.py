"""Tests of builder.dataset."""
