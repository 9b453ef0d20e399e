"""What people say of the device's detections, and what that makes of its precision and recall.

`frames` names a frame and what was detected in it, `judgement` holds what an inspector says,
`recent` keeps the last frames' detections, `store` keeps everything in one file, `join` brings the
two together, `labelled` reads data sets with corrected boxes, `report` counts. `take` is the one
door for whoever hears an inspector: the command line, MQTT, the page.
"""

from edge_agent.feedback.judgement import Judgement
from edge_agent.feedback.take import Taken, take

__all__ = ["Judgement", "Taken", "take"]
