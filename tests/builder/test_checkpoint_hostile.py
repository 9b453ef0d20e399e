"""Nothing in a checkpoint runs, and nothing in it takes long."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.checkpoint import read_checkpoint
from builder.errors import CheckpointError
from tests.builder.forge import Dump, New, Raw, dump, network, write_archive
from tests.builder.hostile import CODE, EXHAUSTION, SYSTEM, TENSORS, bare

ROOT = Path(__file__).parent.parent.parent
CORPUS = CODE | EXHAUSTION | TENSORS

MEASURE = """
import json, sys, time
from pathlib import Path
from builder.checkpoint import read_checkpoint
from builder.errors import CheckpointError
slowest = 0.0
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        read_checkpoint(Path(path))
        sys.exit(path + " was accepted")
    except CheckpointError:
        slowest = max(slowest, time.process_time() - start)
status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with pytest's own peak
peak_kb = int(status.split("VmHWM:")[1].split()[0])
print(json.dumps({"slowest_s": slowest, "peak_mb": peak_kb / 1024}))
"""


def forge(path: Path, value: object) -> Path:
    """Write a checkpoint that is valid but for `value`."""
    if isinstance(value, New) and value.kind == network().kind:
        return write_archive(path, dump({"model": value}))
    return write_archive(path, dump({"model": network(), "extra": value}))


@pytest.mark.parametrize("name", CORPUS)
def test_each_is_refused_with_its_reason(tmp_path, monkeypatch, name):
    """One line that names the file and what was found; nothing executed; no traceback."""
    monkeypatch.chdir(tmp_path)
    value, reason = CORPUS[name]
    path = forge(tmp_path / "best.pt", value)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and reason in message
    assert "\n" not in message and len(message) < 400 + len(str(path)) and "; " in message
    assert sorted(tmp_path.iterdir()) == [path]


def test_the_corpus_is_armed(tmp_path):
    """Python's own unpickler does run these: the tests above would notice."""
    for value in (SYSTEM, Raw(b"(X\x0e\x00\x00\x00touch executedios\nsystem\n")):
        script = f"import pickle; pickle.loads({b'' + bare(value) + b'.'!r})"
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
        assert (tmp_path / "executed").exists()
        (tmp_path / "executed").unlink()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_corpus_is_refused_in_little_time_and_memory(tmp_path):
    """Each within 2 s (of CPU: the machine may be busy), all in one process below 300 MB."""
    paths = [forge(tmp_path / f"{i}.pt", value) for i, (value, _) in enumerate(CORPUS.values())]
    paths += bombs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["slowest_s"] < 2 and measured["peak_mb"] < 300


def bombs(folder: Path) -> list[Path]:
    """Small files that unpack to a lot: a storage, a pickle; and one that is cut off."""
    zeros, pickle = b"\0" * (260 * 2**20), b"\x80\x02" + b"N" * (17 * 2**20)
    good = dump({"model": network()})
    storage = Dump(good.pickle, good.storages | {"bomb": zeros})
    made = [
        write_archive(folder / "storage.pt", storage, packed=("data/bomb",)),
        write_archive(folder / "pickle.pt", Dump(pickle, {}), packed=("data.pkl",)),
    ]
    whole = made[0].read_bytes()
    cut = folder / "cut.pt"
    cut.write_bytes(whole[: len(whole) // 2])
    assert made[0].stat().st_size < 3 * 2**20
    return [*made, cut]


def test_calls_do_not_copy_what_they_are_given(tmp_path):
    """A long list that is stored once and turned into a set 50,000 times stays one list."""
    start = time.process_time()
    long = b"](" + b"N" * 100_000 + b"eq\x00"
    call = b"cbuiltins\nset\nq\x01" + b"h\x01h\x00\x85R" * 50_000
    code = b"(" + long + call + b"t"
    path = forge(tmp_path / "best.pt", Raw(code))
    assert read_checkpoint(path).names == ("scratch", "dent")
    assert time.process_time() - start < 4


@pytest.mark.parametrize("part", ["pickle", "zip"])
def test_mutations_are_read_or_refused(tmp_path, part):
    """1,000 seeded mutations of a valid file: an honest answer each time, never a traceback."""
    rng = random.Random(20261123)
    good = dump({"model": network(), "train_args": {"imgsz": 64}, "date": "2026-11-23"})
    whole = write_archive(tmp_path / "good.pt", good, packed=("data/0",)).read_bytes()
    path, accepted = tmp_path / "best.pt", 0
    for _ in range(1000):
        if part == "pickle":
            write_archive(path, Dump(mutated(rng, good.pickle), good.storages))
        else:
            path.write_bytes(mutated(rng, whole))
        try:
            read_checkpoint(path)
            accepted += 1
        except CheckpointError:
            pass
    assert 0 < accepted < 1000


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return `data` with a few bytes changed, moved, repeated or cut off."""
    mutable = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, length = rng.randrange(len(mutable)), rng.randrange(1, 40)
        match rng.randrange(5):
            case 0:
                mutable[at] = rng.randrange(256)
            case 1:
                mutable[at] ^= 1 << rng.randrange(8)
            case 2:
                del mutable[at : at + length]
            case 3:
                mutable[at:at] = mutable[at : at + length]
            case _:
                mutable[at:at] = rng.choice(TOKENS)
        mutable = mutable or bytearray(b"\0")
    return bytes(mutable[: rng.randrange(len(mutable))] if rng.random() < 0.05 else mutable)


TOKENS = [
    *(bytes([code]) for code in b"(tRb\x81}]use0"),
    b"q\x00",
    b"h\x00",
    b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
    b"cos\nsystem\n",
    b"ctorch.nn.modules.conv\nConv2d\n",
    b"J\xff\xff\xff\xff",
    b"PK\x05\x06",
]
