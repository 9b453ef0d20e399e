"""``make demo``: the road from a promoted model to a rollback, on this machine, in minutes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from deploy.demo import facts
from deploy.demo.page.report import Picture, render
from deploy.demo.stage import Stage
from deploy.demo.story import Story
from edge_agent.errors import OutpostError

VAL_IMAGES = 150


class Teller:
    """Prints the story with the time since its beginning."""

    def __init__(self) -> None:
        """The clock starts now."""
        self.started = time.monotonic()

    def chapter(self, title: str) -> None:
        """A heading."""
        click.secho(f"\n{title}", bold=True)

    def line(self, text: str) -> None:
        """One thing that happened."""
        seconds = time.monotonic() - self.started
        colour = "red" if text.startswith("NOT SO") else None
        clock = click.style(f"{int(seconds) // 60}:{seconds % 60:04.1f}", dim=True)
        click.echo(f"  {clock}  {click.style(text, fg=colour)}")


def make_line(stage: Stage, seed: int) -> None:
    """Generate the clips and the validation images; its progress bars go to the terminal."""
    arguments = ["--out", str(stage.line), "--seed", str(seed), "--images", "0"]
    arguments += ["--val-images", str(VAL_IMAGES), "--test-images", "0"]
    subprocess.run([sys.executable, "-m", "deploy.demo.line", *arguments], check=True)


def play(stage: Stage, teller: Teller, seed: int, broker_kind: str | None) -> dict[str, Any]:
    """Play all chapters, write both reports, and return the content of report.json."""
    story = Story(stage, teller.line)
    stage.clear()
    teller.chapter("The line: parts on a conveyor under an inspection camera")
    make_line(stage, seed)
    teller.chapter("The servers: broker, MLflow registry, release repository")
    stage.open(broker_kind)
    assert stage.broker is not None
    teller.line(f"{stage.broker.label} listens on {stage.broker.url}")
    chapters = (
        ("v1: from the registry to the device", story.first_release),
        ("v2: a better version, while frames flow", story.better_release),
        ("v3: broken weights", story.broken_release),
        ("v4: right on the golden set, wrong on live frames", story.misbehaving_release),
        ("A dirty lens", story.dirty_lens),
        ("The operator goes back to v1", story.rollback_by_hand),
    )
    final: dict[str, Any] = {"current_version": 0, "banned": []}
    try:
        for title, chapter in chapters:
            teller.chapter(title)
            chapter()
        final = story.ending()
    except OutpostError as error:  # what did happen is worth a report all the same
        story.check(str(error), False)
    duration = time.monotonic() - teller.started
    document = facts.document(
        story.recording,
        checks=story.checks,
        duration_s=duration,
        broker=stage.broker.kind,
        final=final,
    )
    write_reports(stage, story, document)
    return document


def write_reports(stage: Stage, story: Story, document: dict[str, Any]) -> None:
    """report.json for scripts, report.html for people; also of a story that ended early."""
    (stage.out / "report.json").write_text(json.dumps(document, indent=2) + "\n")
    shots = pictures(stage, story)
    page = render(document, story.recording, shots, ssim_min=ssim_threshold(story))
    (stage.out / "report.html").write_text(page, encoding="utf-8")


def ssim_threshold(story: Story) -> float | None:
    """What the device's gate takes from the profile of the version that ran longest."""
    from edge_agent.bundle import Bundle
    from edge_agent.gate import ssim_from_profile
    from edge_agent.monitors.profile import Profile

    if not story.bundle(2).exists():
        return None
    learnt = ssim_from_profile(Profile.of(Bundle.open(story.bundle(2))))
    return learnt.low if learnt is not None else None


def pictures(stage: Stage, story: Story) -> list[Picture]:
    """Frames of the clips with what each version detects on them."""
    import cv2

    from deploy.demo.line.clips import truth_path

    folder = stage.out / "pictures"
    folder.mkdir(exist_ok=True)
    truth = json.loads(truth_path(stage.line / "clip.mp4").read_text())["frames"]
    busiest = max(range(len(truth)), key=lambda index: len(truth[index]["boxes"]))
    for clip, index, name in (("clip.mp4", busiest, "live"), ("faults.mp4", 100, "dirty")):
        video = cv2.VideoCapture(str(stage.line / clip))
        video.set(cv2.CAP_PROP_POS_FRAMES, index)
        _, frame = video.read()
        cv2.imwrite(str(folder / f"{name}.jpg"), frame)
    shots = []
    for version, frame_name, caption in (
        (1, "live", "v1 on a live frame"),
        (2, "live", "v2 on the same frame"),
        (4, "live", "v4 on the same frame: over-sensitive, rolled back and banned"),
        (2, "dirty", "The dirty lens: what the input check keeps from the model"),
    ):
        if not story.bundle(version).exists():
            continue
        target = folder / f"v{version}"
        image = folder / f"{frame_name}.jpg"
        stage.call("edge-agent", "detect", story.bundle(version), image, "--save", target)
        shots.append(Picture(target / image.name, caption))
    return shots


def summary(document: dict[str, Any], out: Path) -> None:
    """The last words in the terminal."""
    click.secho("\nWhat was claimed, and whether it was so", bold=True)
    for check in document["checks"]:
        mark = click.style("ok ", fg="green") if check["ok"] else click.style("NO ", fg="red")
        click.echo(f"  {mark} {check['text']}")
    frames, latency = document["frames"], document["latency_ms"]
    click.secho("\nIn figures", bold=True)
    click.echo(f"  {frames['captured']} frames captured, {frames['inferred']} inferred,")
    click.echo(f"  {frames['skipped_by_gate']} kept from the model by the input check,")
    click.echo(f"  {frames['dropped_during_swaps']} dropped in {frames['swaps']} model swaps;")
    click.echo(f"  latency {latency['p50']:.1f} ms (median), {latency['p95']:.1f} ms (p95);")
    click.echo(f"  {document['metrics_received']} metrics, {document['events_received']} events.")
    click.echo(f"\n  {document['duration_s']:.0f} s in all; look at {out / 'report.html'}\n")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/demo"))
@click.option("--seed", default=1, show_default=True, help="of the simulated line")
@click.option("--broker", type=click.Choice(["mosquitto", "amqtt"]), help="default: what there is")
def main(out: Path, seed: int, broker: str | None) -> None:
    """Play the whole story on this machine and check it."""
    stage = Stage(out.absolute())
    try:
        document = play(stage, Teller(), seed, broker)
    except OutpostError as error:
        click.secho(f"\n{error}", fg="red", err=True)
        sys.exit(error.exit_code)
    finally:
        stage.close()
    summary(document, out)
    sys.exit(0 if document["ok"] else 1)


if __name__ == "__main__":
    main()
