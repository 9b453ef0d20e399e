"""The lane: inference in one thread, decoding in another, cameras ahead of both."""

from __future__ import annotations

import queue
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from edge_agent.bundle import InputSpec
from edge_agent.detection.detector import Result
from edge_agent.detection.preprocess import Placement
from edge_agent.loop.lane import SLOTS, Canvases, Job, Lane

INPUT = InputSpec(8, 8, "NCHW", "RGB", 1 / 255, 114, "linear", True, "round-0.1")
PLACE = Placement(1.0, 1.0, 0, 0, 4, 4)


class Network:
    """A detector that a test opens and closes like a gate; remembers what it was given."""

    def __init__(self, max_batch: int = 1) -> None:
        self.max_batch = max_batch
        self.open = threading.Event()
        self.inside = threading.Event()
        self.batches: list[list[float]] = []
        self.threads: set[str] = set()
        self.closed = False

    def infer(self, tensors):
        self.inside.set()
        assert self.open.wait(10)
        self.threads.add(threading.current_thread().name)
        values = [float(tensor[0, 0, 0, 0]) for tensor in tensors]
        self.batches.append(values)
        if -1.0 in values:
            raise RuntimeError("the driver fell over")
        return list(tensors)

    def finish(self, raw, placement, *, preprocess_ms, infer_ms):
        self.threads.add(threading.current_thread().name)
        if raw[0, 0, 0, 0] == -2.0:
            raise ValueError("nonsense")
        return Result(raw.reshape(1, -1), False, preprocess_ms, infer_ms, 0.0)

    def close(self):
        self.closed = True


class Desk:
    """Lines up jobs by number and collects what comes back, in order."""

    def __init__(self, network: Network) -> None:
        self.lane = Lane(network)
        self.back: queue.SimpleQueue = queue.SimpleQueue()

    def send(self, number: float) -> None:
        tensor = np.full((1, 1, 1, 1), number, np.float32)
        self.lane.submit(Job(tensor, PLACE, 1.5, lambda outcome: self.back.put((number, outcome))))

    def take(self, count: int):
        return [self.back.get(timeout=10) for _ in range(count)]


@pytest.fixture
def network():
    return Network()


def test_results_come_back_in_order_from_two_threads(network):
    """One infers, the other decodes."""
    desk = Desk(network)
    network.open.set()
    for number in range(20):
        desk.send(number)
    taken = desk.take(20)
    assert [number for number, _ in taken] == list(range(20))
    assert all(outcome.preprocess_ms == 1.5 for _, outcome in taken)
    assert network.threads == {"infer", "finish"}
    desk.lane.close()
    assert network.closed


def test_waiting_frames_go_together(network):
    """As many as the graph takes at once, in order; none waits for company."""
    network.max_batch = 3
    desk = Desk(network)
    desk.send(0)
    assert network.inside.wait(10)  # it left alone
    for number in range(1, 6):
        desk.send(number)
    network.open.set()
    assert [number for number, _ in desk.take(6)] == list(range(6))
    assert network.batches == [[0], [1, 2, 3], [4, 5]]


def test_what_goes_wrong_reaches_the_frame_and_only_it(network):
    """Inference and decoding may fail; the next frame is served."""
    desk = Desk(network)
    network.open.set()
    for number in (1, -1, -2, 2):
        desk.send(number)
    outcomes = dict(desk.take(4))
    assert isinstance(outcomes[-1], RuntimeError) and isinstance(outcomes[-2], ValueError)
    assert isinstance(outcomes[1], Result) and isinstance(outcomes[2], Result)


def test_closing_finishes_what_is_lined_up(network):
    """A release that is swapped out still answers for its last frames."""
    network.max_batch = 4
    desk = Desk(network)
    for number in range(3):
        desk.send(number)
    closing = threading.Thread(target=desk.lane.close)
    closing.start()
    network.open.set()
    closing.join(10)
    assert not closing.is_alive() and len(desk.take(3)) == 3 and network.closed


def test_closing_an_unused_lane_lets_go_of_the_model(network):
    """No thread ever began."""
    Lane(network).close()
    assert network.closed


def test_time_left_is_what_the_network_usually_takes(network):
    """0 while it waits; while it runs, no more than a run has taken so far."""
    desk = Desk(network)
    assert desk.lane.time_left_s() == 0.0
    desk.send(0)
    assert network.inside.wait(10)
    assert desk.lane.time_left_s() == 0.0  # nothing is known yet
    network.open.set()
    desk.take(1)
    network.open.clear()
    network.inside.clear()
    desk.send(1)
    assert network.inside.wait(10)
    desk.send(2)
    assert desk.lane.time_left_s() == 0.0  # somebody is ready already: the caller waits for a slot
    network.open.set()
    desk.take(2)
    desk.lane.close()


def test_a_camera_waits_for_a_canvas():
    """It has `SLOTS`; the next comes when one is given back."""
    canvases = Canvases(INPUT)
    taken = [canvases.take(0) for _ in range(SLOTS)]
    assert None not in taken and canvases.take(0.01) is None and not canvases.drain(0.01)
    threading.Timer(0.02, canvases.give_back, taken[:1]).start()
    assert canvases.take(10) is taken[0]


def test_who_borrows_takes_no_memory_of_its_own(network):
    """Before the first camera came, the borrower's canvases become that camera's."""
    network.manifest = SimpleNamespace(input=INPUT)
    lane = Lane(network)
    borrowed = lane.borrowed()
    assert lane.borrowed() is borrowed and lane.canvases() is borrowed
    assert lane.canvases() is not borrowed and lane.borrowed() is borrowed
