"""Drawing: inside the picture, in the class's colour, the original untouched."""

import numpy as np

from edge_agent.detection.draw import colour, draw


def test_a_box_in_its_colour():
    """The frame of the box has the colour of its class; far away nothing changes."""
    image = np.full((200, 300, 3), 90, np.uint8)
    drawn = draw(image, np.asarray([[50, 60, 150, 160, 0.9, 1]], np.float32), ["a", "b"])
    assert image.min() == image.max() == 90
    assert np.abs(drawn[110, 50].astype(int) - colour(1)).max() < 40
    assert (drawn[190, 280] == 90).all()


def test_any_box_can_be_drawn():
    """Outside, empty, tiny, huge and unknown classes: a picture of the same size comes back."""
    boxes = [
        [-50, -50, 10, 10, 0.9, 0], [5, 5, 5, 5, 0.8, 1], [0, 0, 9999, 9999, 0.7, 2],
        [28, 0, 32, 3, 0.6, 99], [10, 39, 12, 40, 0.5, 0],
    ]  # fmt: skip
    for shape in ((40, 32), (1, 1), (720, 1280)):
        image = np.zeros((*shape, 3), np.uint8)
        assert draw(image, np.asarray(boxes, np.float32), ["a"]).shape == image.shape


def test_colours_differ():
    """Ten classes have ten colours, far enough apart to tell."""
    colours = np.asarray([colour(index) for index in range(10)], float)
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert distance[~np.eye(10, dtype=bool)].min() > 35
