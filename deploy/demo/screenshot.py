"""``python -m deploy.demo.screenshot``: the picture of the page in the documentation.

Runs the device of a demo that was played (`make demo`) once more, with its page, and lets a
headless Chromium look at it: on a desk while all is well, on a phone while the lens is dirty.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import click

from deploy.demo.browser import Browser, Tab
from deploy.demo.processes import Service
from deploy.demo.stage import Stage, command
from edge_agent.errors import OutpostError

DESK, PHONE = (1280, 915), (412, 915)
MARGIN = 28
WIDTH = 1480
START_S = 30.0
HISTORY_S = 40.0  # so that the lines have something to show
DIRT_S = 7.0  # from the alarm until the lens is really dirty
COLOURS = 256
KINDS = (
    "new Set([...document.querySelectorAll('.box span')].map((one) =>"
    " one.innerText.split(' ')[0])).size"
)


def page_address(log: Path) -> str:
    """The page's address, as the agent logs it.

    Raises:
        OutpostError: when it does not come.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if found := re.search(r"page: (http://\S+)", log.read_text() if log.exists() else ""):
            return found[1]
        time.sleep(0.1)
    raise OutpostError(f"the agent serves no page; see {log}")


def wait_for(tab: Tab, words: str) -> None:
    """Until the page's sentence begins so and a picture is there."""
    tab.wait(f"document.querySelector('#words').innerText.startsWith({words!r})", 60)
    tab.wait("document.querySelector('#live').naturalWidth > 0")
    tab.wait("document.querySelector('#map').naturalWidth > 0")


def look(stage: Stage, url: str, folder: Path, *, dark: bool) -> tuple[Path, Path]:
    """The two pictures: a desk's and a phone's."""
    with Browser() as browser:
        desk = browser.open(url, width=DESK[0], height=DESK[1], dark=dark)
        wait_for(desk, "All is well")
        time.sleep(HISTORY_S)
        desk.wait(f"document.querySelectorAll('.box').length === 2 && {KINDS} === 2", 60)
        first = desk.screenshot(folder / "desk.png")
        stage.show_clip("faults.mp4")
        phone = browser.open(url, width=PHONE[0], height=PHONE[1], mobile=True, dark=dark)
        wait_for(phone, "Camera cam-1: ")
        time.sleep(DIRT_S)
        second = phone.screenshot(folder / "phone.png")
        if desk.complaints or phone.complaints:
            raise OutpostError(f"the page complains: {desk.complaints + phone.complaints}")
    return first, second


def compose(desk: Path, phone: Path, output: Path) -> None:
    """Both side by side, in a palette that keeps the file small."""
    from PIL import Image

    left, right = Image.open(desk).convert("RGB"), Image.open(phone).convert("RGB")
    right = right.resize((right.width // 2, right.height // 2), Image.Resampling.LANCZOS)
    height = max(left.height, right.height)
    size = (left.width + right.width + 3 * MARGIN, height + 2 * MARGIN)
    whole = Image.new("RGB", size, (200, 206, 214))
    whole.paste(left, (MARGIN, MARGIN))
    whole.paste(right, (left.width + 2 * MARGIN, MARGIN))
    whole = whole.resize(
        (WIDTH, round(WIDTH * whole.height / whole.width)), Image.Resampling.LANCZOS
    )
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(output, optimize=True)


@click.command()
@click.option("--demo", type=click.Path(path_type=Path), default=Path("build/demo"))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs/page.png"))
@click.option("--dark", is_flag=True, help="As a dark desktop shows it.")
def main(demo: Path, output: Path, dark: bool) -> None:
    """Take the picture of the page in the documentation."""
    stage = Stage(demo.absolute())
    if not stage.config.exists():
        sys.exit(f"{stage.config}: no such file; play the demo first: make demo")
    stage.show_clip("clip.mp4")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        line = command("edge-agent", "run", "-c", stage.config, "--page", "127.0.0.1:0")
        agent = Service("edge-agent", [*line, "--telemetry", "log"], folder / "agent.log")
        try:
            compose(*look(stage, page_address(folder / "agent.log"), folder, dark=dark), output)
        except (OutpostError, RuntimeError) as error:
            sys.exit(str(error))
        finally:
            agent.stop()
            stage.show_clip("clip.mp4")
    click.echo(f"wrote {output}")


if __name__ == "__main__":
    main()
