"""From a picture to detections, and the proof that a device still computes them."""
