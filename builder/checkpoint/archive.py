"""The zip that ``torch.save`` writes, opened without trusting a byte of it.

Entries that are stored (PyTorch stores all of them) are handed out as views of the memory-mapped
file. Deflated ones are inflated, within limits, because other tools re-pack checkpoints that way.
Nothing is ever extracted to disk.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from builder.checkpoint.refusal import COPY_AGAIN, DISTRUST, WRONG_FILE, Refusal, shorten
from edge_agent.engines.plan import HEAD_BYTES, describe

MAX_ENTRIES = 20_000
MAX_DIRECTORY_BYTES = 4 * 1024**2
MAX_INFLATED_BYTES = 256 * 1024**2
"""Trained weights do not compress, so PyTorch stores them; only filler gets this far."""

MAX_INFLATION = 16
FREELY_INFLATED_BYTES = 16 * 1024**2
"""Weights shrink to half at best, an optimizer's zeros more; what shrinks to a 16th is filler."""

_ITS_SOURCE = "give the .pt file that it was exported from"
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Entry:
    """One file inside the zip: where its bytes lie and what they should be."""

    name: str
    start: int
    stored_bytes: int
    size: int
    crc: int
    deflated: bool


class Archive:
    """The entries of one ``torch.save`` file, by their name below the common prefix.

    An Archive that exists has been checked: every entry lies inside the file, none overlaps
    another, names stay below one prefix, and the sizes are within the limits above.
    """

    def __init__(self, data: mmap.mmap, entries: dict[str, Entry]) -> None:
        self._data = memoryview(data)
        self._entries = entries

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Map `path` and check its directory.

        Raises:
            Refusal: the file is not such a zip, is damaged, or is built to do harm.
            OSError: the file cannot be opened.
        """
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise Refusal("is empty", COPY_AGAIN)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            _check_directory(data)
            try:
                with zipfile.ZipFile(file) as zipped:
                    infos, directory_start = zipped.infolist(), zipped.start_dir
            except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
                raise Refusal(f"has a damaged zip directory ({error})", COPY_AGAIN) from error
        entries = [_entry(data, info) for info in infos]
        _check_layout(entries, directory_start)
        return cls(data, _by_short_name(entries))

    @property
    def raw(self) -> memoryview:
        """The whole file, as bytes."""
        return self._data

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def size(self, name: str) -> int:
        """Return the size in bytes of the entry `name` once it is read.

        Raises:
            Refusal: there is no such entry.
        """
        if name not in self._entries:
            raise Refusal(f"has no entry {shorten(name)}", COPY_AGAIN)
        return self._entries[name].size

    def read(self, name: str) -> memoryview:
        """Return the bytes of the entry `name`: a view of the file, or an inflated copy.

        Raises:
            Refusal: there is no such entry, or its bytes do not match its size and CRC.
        """
        self.size(name)
        entry = self._entries[name]
        stored = self._data[entry.start : entry.start + entry.stored_bytes]
        content = _inflate(stored, entry) if entry.deflated else stored
        if len(content) != entry.size or zlib.crc32(content) != entry.crc:
            raise Refusal(f"has a damaged entry {shorten(entry.name)} (CRC or size)", COPY_AGAIN)
        return content


def _inflate(stored: memoryview, entry: Entry) -> memoryview:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return memoryview(inflater.decompress(stored, max(entry.size, 1)))
    except zlib.error as error:
        raise Refusal(f"has a damaged entry {shorten(entry.name)} ({error})", COPY_AGAIN) from error


def _check_directory(data: mmap.mmap) -> None:
    """Bound the directory before zipfile reads it: it takes about 10 us and 500 bytes per entry."""
    end_at = len(data) - _END.size
    if end_at < 0 or data[end_at : end_at + 4] != b"PK\x05\x06":
        if engine := describe(data[:HEAD_BYTES]):
            raise Refusal(f"is {engine}, compiled for one GPU; it cannot be a source", _ITS_SOURCE)
        raise _not_a_checkpoint(data[:512])
    _, _, _, _, count, size, _, _ = _END.unpack_from(data, end_at)
    locator_at = end_at - _END64_LOCATOR.size
    if locator_at >= 0 and data[locator_at : locator_at + 4] == b"PK\x06\x07":
        end64_at = _END64_LOCATOR.unpack_from(data, locator_at)[2]
        # zipfile looks for the record directly before its locator, whatever the locator says.
        if end64_at != locator_at - _END64.size:
            raise Refusal("has a damaged zip directory (zip64 record)", COPY_AGAIN)
        count, size = _END64.unpack_from(data, end64_at)[7:9]
    if count > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
        raise Refusal(
            f"lists {count} entries in {size} bytes of zip directory (limits {MAX_ENTRIES} and "
            f"{MAX_DIRECTORY_BYTES})",
            DISTRUST,
        )


def _not_a_checkpoint(head: bytes) -> Refusal:
    """Say what a file is that does not end like a zip."""
    if head.startswith(b"PK\x03\x04"):
        return Refusal("is cut short: the zip directory at its end is missing", COPY_AGAIN)
    if head.startswith(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."):
        return Refusal("is in the format that PyTorch wrote before version 1.6")
    if head.startswith(b"version https://git-lfs"):
        return Refusal("is a Git LFS pointer, not the checkpoint", "run `git lfs pull` first")
    if head.startswith(b"\x80"):
        return Refusal("is a bare pickle, not a checkpoint", DISTRUST)
    if head.isascii() and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return Refusal(f"is a text file that begins {head.decode()[:40]!r}", WRONG_FILE)
    return Refusal(f"is not a zip (it begins with bytes {head[:8].hex(' ')})", WRONG_FILE)


def _entry(data: mmap.mmap, info: zipfile.ZipInfo) -> Entry:
    """Check one line of the directory against the local header that it points to."""
    name, at = info.filename, info.header_offset
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refusal(f"packs {shorten(name)} with zip method {info.compress_type}")
    if info.flag_bits & _ENCRYPTED:
        raise Refusal(f"has an encrypted entry {shorten(name)}")
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    if not deflated and info.compress_size != info.file_size:
        raise Refusal(f"has an entry {shorten(name)} whose sizes contradict", DISTRUST)
    if at < 0 or at + _LOCAL.size > len(data) or data[at : at + 4] != b"PK\x03\x04":
        raise Refusal(f"has an entry {shorten(name)} outside of the file", DISTRUST)
    name_bytes, extra_bytes = _LOCAL.unpack_from(data, at)[9:11]
    start = at + _LOCAL.size + name_bytes + extra_bytes
    return Entry(name, start, info.compress_size, info.file_size, info.CRC, deflated)


def _check_layout(entries: list[Entry], directory_start: int) -> None:
    """Refuse entries that share bytes or inflate without bound: what zip bombs are made of."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.start):
        if entry.start < end:
            raise Refusal(f"has an entry {shorten(entry.name)} that overlaps another", DISTRUST)
        end = entry.start + entry.stored_bytes
        if end > directory_start:
            raise Refusal(f"has an entry {shorten(entry.name)} outside of the file", DISTRUST)
    inflated = sum(entry.size for entry in entries if entry.deflated)
    if inflated > MAX_INFLATED_BYTES:
        raise Refusal(f"inflates to {inflated} bytes (limit {MAX_INFLATED_BYTES})", DISTRUST)
    packed = sum(entry.stored_bytes for entry in entries)
    if inflated > max(MAX_INFLATION * packed, FREELY_INFLATED_BYTES):
        raise Refusal(f"inflates {packed} bytes to {inflated}; weights do not", DISTRUST)


def _by_short_name(entries: list[Entry]) -> dict[str, Entry]:
    """Strip the one folder that all entries share, and refuse names that leave it."""
    prefix = entries[0].name.partition("/")[0] if entries else ""
    short: dict[str, Entry] = {}
    for entry in entries:
        head, slash, rest = entry.name.partition("/")
        parts = rest.split("/")
        if head in ("", ".", "..") or "\\" in entry.name or ".." in parts or "" in parts[:-1]:
            raise Refusal(f"has an entry with an unsafe path {shorten(entry.name)}", DISTRUST)
        if head != prefix or not slash:
            raise Refusal(f"is a zip of other things ({shorten(entry.name)})", WRONG_FILE)
        if rest in short:
            raise Refusal(f"has the entry {shorten(entry.name)} twice", DISTRUST)
        short[rest] = entry
    return short
