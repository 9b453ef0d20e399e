"""Video files and folders as cameras."""

import struct
import subprocess
import sys
import threading
import zlib
from zlib import crc32

import cv2
import numpy as np
import pytest

from edge_agent.errors import SourceError
from edge_agent.sources import SOURCES, open_source
from edge_agent.sources.base import Pacer, Spec
from edge_agent.sources.folder import FolderSource
from edge_agent.sources.screen import DEPTH_16, GREY, UNREADABLE
from edge_agent.sources.video import LOOK_EVERY_S, VideoSource
from tests.bundles import HEIGHT, WIDTH, frame, write_clip, write_frames


class Clock:
    """Monotonic seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waited.append(round(seconds, 6))
        self.now += seconds
        return False


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "a.avi", 6)


@pytest.fixture
def pictures(tmp_path):
    return write_frames(tmp_path / "pictures", 4)


@pytest.fixture(params=["file", "dir"])
def spec(request, clip, pictures):
    return {"file": f"file:{clip}?speed=max", "dir": f"dir:{pictures}"}[request.param]


def read_all(source) -> list:
    frames = []
    while (item := source.read()) is not None:
        frames.append(item)
    return frames


def test_every_kind_is_in_the_battery(spec):
    """A new source joins these checks."""
    assert {"file", "dir"} == {k for k, kind in SOURCES.items() if not kind.live}


def test_frames_to_the_end(spec):
    """Every source gives owned BGR frames with rising numbers, then None and finished."""
    source = open_source(spec, "cam-1")
    assert not source.finished
    frames = read_all(source)
    assert source.finished and source.read() is None
    assert [item.seq for item in frames] == list(range(1, len(frames) + 1))
    assert all(item.camera == "cam-1" and item.captured_at > 1e9 for item in frames)
    assert all(item.image.shape == (HEIGHT, WIDTH, 3) for item in frames)
    assert all(item.image.dtype == np.uint8 for item in frames)
    assert not np.shares_memory(frames[0].image, frames[1].image)
    source.close()


def test_loop_goes_on(spec):
    """With loop=1 there is no end, until it is closed."""
    source = open_source(spec + ("&" if "?" in spec else "?") + "loop=1", "cam-1")
    frames = [source.read() for _ in range(15)]
    assert frames[-1].seq == 15 and not source.finished
    source.close()
    assert source.read() is None


def test_close_wakes_a_reader_that_waits(clip):
    """A source of one frame per 100 s can be closed at once from another thread."""
    source = open_source(f"file:{clip}?fps=0.01", "cam-1")
    got = []
    thread = threading.Thread(target=lambda: got.extend([source.read(), source.read()]))
    thread.start()
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    assert got[1] is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("clip.mp4", "should look like"),
        ("fil:clip.mp4", 'did you mean "file"'),
        ("file:", "should look like"),
        ("file:{clip}?lop=1", 'did you mean "loop"'),
        ("file:{clip}?loop=yes", 'loop should be 0 or 1, is "yes"'),
        ("file:{clip}?fps=fast", 'is "fast"'),
        ("file:{clip}?fps=0", "between 0.01 and 1000"),
        ("file:{clip}?fps=nan", "between 0.01 and 1000"),
        ("file:{clip}?speed=slow", "one of real, max"),
        ("dir:{folder}?speed=max", '"speed" is not an option'),
        ("file:{folder}", "use dir:"),
        ("file:{folder}/none.mp4", "no such file"),
        ("dir:{folder}/none", "No such file"),
        ("dir:{folder}", "no picture in this folder"),
        ("file:{folder}/text.mp4", "cannot be read as a video"),
        ("file:{folder}/empty.mp4", "cannot be read as a video"),
    ],
)
def test_what_cannot_be_opened_is_said(clip, tmp_path, text, word):
    """One line each, with the camera's id."""
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 99)
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(SourceError, match=word) as caught:
        open_source(text.format(clip=clip, folder=tmp_path), "cam-7")
    assert "\n" not in str(caught.value)
    assert "cam-7" in str(caught.value) or text.format(clip=clip) in str(caught.value)


def test_a_path_may_hold_a_question_mark():
    """Options begin at the last one."""
    spec = Spec.parse("file:what?.mp4?loop=1")
    assert (spec.path, dict(spec.options)) == ("what?.mp4", {"loop": "1"})


def test_unreadable_pictures_are_skipped_and_counted(pictures):
    """A text file and a cut-off PNG among the pictures do not end the source."""
    (pictures / "0000a.png").write_text("not a picture")
    (pictures / "0001a.jpg").write_bytes(b"")
    source = FolderSource(pictures, "cam")
    assert len(read_all(source)) == 4
    assert source.skipped == {UNREADABLE: 2}


def test_a_folder_without_any_readable_picture(tmp_path):
    """Looping over rubbish is an error, not a busy loop."""
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(SourceError, match="none of its pictures"):
        FolderSource(tmp_path, "cam", loop=True).read()


def test_pictures_become_8_bit_colour(tmp_path):
    """Grey and 16-bit files arrive as (H, W, 3) uint8."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((15, 16), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((15, 16, 3), 65535, np.uint16))
    source = FolderSource(tmp_path, "cam")
    frames = read_all(source)
    assert source.skipped == {GREY: 1, DEPTH_16: 1}
    assert [item.image.shape for item in frames] == [(15, 16, 3)] * 2
    assert [int(item.image[0, 0, 0]) for item in frames] == [200, 255]


def huge_png(width: int, height: int) -> bytes:
    """A whole picture of 1 bit per pixel: few bytes, and each pixel becomes one in memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 1)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_small_file_that_is_a_huge_picture(tmp_path):
    """It is not even decoded; one that is just small enough is."""
    (tmp_path / "a.png").write_bytes(huge_png(16384, 8256))
    (tmp_path / "b.png").write_bytes(huge_png(2048, 64))
    code = (
        "import sys; from pathlib import Path; from edge_agent.sources.folder import FolderSource\n"
        "source = FolderSource(Path(sys.argv[1]), 'cam')\n"
        "print(source.read().image.shape, source.read(), source.skipped)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    counted = {UNREADABLE: 1, GREY: 1}
    assert done.stdout.strip() == f"(64, 2048, 3) None {counted}", done.stderr


def test_pace_is_the_files_own():
    """Frames are due a period apart; late ones are not made up for."""
    clock = Clock()
    pacer = Pacer(10, clock=clock, wait=clock.wait)
    assert pacer.pace() and clock.waited == []
    clock.now += 0.03
    pacer.pace()
    assert clock.waited == [0.07]
    clock.now += 5.0
    pacer.pace()
    pacer.pace()
    assert clock.waited == [0.07, 0.1]


def test_video_takes_its_rate_from_the_file_or_the_option(clip):
    """10 frames per second in the file, 4 by option, none at full speed."""
    assert VideoSource(clip, "cam").fps == pytest.approx(10)
    assert VideoSource(clip, "cam", fps=4).fps == 4
    assert VideoSource(clip, "cam", realtime=False).fps is None


@pytest.fixture
def switched(tmp_path):
    """A link to a video of grey frames and a function that points it at black ones."""
    link = tmp_path / "live.avi"

    def point(level: int, size=(WIDTH, HEIGHT)) -> None:
        path = tmp_path / f"{level}.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, size)
        for _ in range(50):
            writer.write(np.full((size[1], size[0], 3), level, np.uint8))
        writer.release()
        temporary = tmp_path / "new"
        temporary.symlink_to(path)
        temporary.replace(link)

    point(128)
    return link, point


def level(item) -> int:
    return int(item.image[5, 5, 0])


def test_a_switched_link_is_followed_within_a_second(switched):
    """With loop=1 the other clip plays as soon as it has been noticed, not at the end."""
    link, point = switched
    clock = Clock()
    source = VideoSource(link, "cam", loop=True, realtime=False, clock=clock)
    assert level(source.read()) == pytest.approx(128, abs=3)
    point(10, size=(160, 120))
    assert level(source.read()) == pytest.approx(128, abs=3)
    clock.now += LOOK_EVERY_S
    after = source.read()
    assert level(after) == pytest.approx(10, abs=3)
    assert after.image.shape == (120, 160, 3) and after.seq == 3


def test_without_loop_the_opened_file_is_played(switched):
    """A recording that plays once is not exchanged under way."""
    link, point = switched
    clock = Clock()
    source = VideoSource(link, "cam", realtime=False, clock=clock)
    point(10)
    clock.now += 10
    assert {level(item) > 100 for item in read_all(source)} == {True}


def test_a_file_that_vanished_is_tried_again_then_reported(switched):
    """Reopening retries with pauses, and gives up with a reason."""
    link, _ = switched
    source = VideoSource(
        link, "cam", loop=True, realtime=False, reopen_waits_s=(0.001, 0.002, 0.004)
    )
    for _ in range(50):
        source.read()
    link.unlink()
    with pytest.raises(SourceError, match="no such file"):
        source.read()


def test_a_file_that_comes_back_is_played(switched):
    """A short absence is survived."""
    link, point = switched
    source = VideoSource(link, "cam", loop=True, realtime=False, reopen_waits_s=(0.02,) * 200)
    for _ in range(50):
        source.read()
    link.unlink()
    timer = threading.Timer(0.05, lambda: point(10))
    timer.start()
    assert level(source.read()) == pytest.approx(10, abs=3)
    timer.join()


def test_frames_are_those_of_the_file(clip):
    """The pictures are the ones that were written, but for the codec's loss."""
    frames = read_all(VideoSource(clip, "cam", realtime=False))
    assert len(frames) == 6
    assert np.abs(frames[3].image.astype(int) - frame(3).astype(int)).mean() < 8
