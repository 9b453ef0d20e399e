"""The running agent: cameras bring frames to releases, windows are closed and reported."""
