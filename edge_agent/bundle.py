"""The bundle: one model version, packed with the proof of what it should say.

This is the only home of the format (docs/formats.md). A `Manifest` that exists is valid: its paths
stay inside the bundle, hashes and sizes are well formed, the schema version is known. Every fault
is listed before failing once. Unknown fields are kept: `Manifest.document` is what was read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edge_agent.bundle_types import (
    DecodeSpec,
    EmbeddingSpec,
    FileEntry,
    GoldenSpec,
    InputSpec,
    Tolerance,
    Variant,
)
from edge_agent.checked import Fields, canonical_json
from edge_agent.errors import BundleError

__all__ = [
    "Bundle", "DecodeSpec", "EmbeddingSpec", "FileEntry", "GoldenSpec", "InputSpec", "Manifest",
    "Tolerance", "Variant", "file_fault", "hash_file", "inside",
]  # fmt: skip

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
MANIFEST_MAX_BYTES = 4 * 1024 * 1024
HEADS = ("yolov5u", "yolov5-anchor")
PRECISIONS = ("fp32", "fp16", "int8", "int8-cpu")
REFERENCES = ("pytorch", "fp32-graph")
INTERPOLATIONS = ("linear", "area", "nearest", "cubic")
MAX_CHANNELS = 8192
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_SHA256 = r"[0-9a-f]{64}"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself. Make one with `Manifest.parse` or `Manifest.from_document`."""

    name: str
    version: int
    created: str
    classes: tuple[str, ...]
    head: str
    input: InputSpec
    decode: DecodeSpec
    variants: tuple[Variant, ...]
    golden: GoldenSpec
    profile: str | None
    reference_image: str | None
    embedding: EmbeddingSpec | None
    files: tuple[FileEntry, ...]
    source: Mapping[str, Any]
    license: str
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, data: bytes, *, where: str = MANIFEST_NAME) -> Manifest:
        """Read manifest bytes.

        Raises:
            BundleError: naming ``where`` and listing every fault.
        """
        if len(data) > MANIFEST_MAX_BYTES:
            raise BundleError(f"{where}: {len(data)} bytes is too large for a manifest")
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where}: not JSON ({error}); build the bundle again") from None
        return cls.from_document(document, where=where)

    @classmethod
    def from_document(cls, document: object, *, where: str = MANIFEST_NAME) -> Manifest:
        """Check a parsed document; raises `BundleError` with every fault listed."""
        fields = Fields(document)
        manifest = _read_manifest(fields, document if isinstance(document, dict) else {})
        if fields.faults:
            raise BundleError(f"{where}: " + "; ".join(fields.faults))
        return manifest

    def to_bytes(self) -> bytes:
        """The canonical bytes; their SHA-256 is the release digest."""
        return canonical_json(dict(self.document))

    @property
    def digest(self) -> str:
        """SHA-256 of `to_bytes`, in hex: the identity of the release."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def variant(self, wanted: str = "auto") -> Variant:
        """The variant with this id; ``auto`` takes the first one, the most exact.

        Raises:
            BundleError: when the bundle has no such variant.
        """
        for variant in self.variants:
            if wanted in ("auto", variant.id):
                return variant
        have = ", ".join(variant.id for variant in self.variants)
        raise BundleError(f"{self.name} {self.version}: no variant {wanted!r}; it has {have}")

    @property
    def free_batch(self) -> bool:
        """Whether its graphs take any number of pictures per run."""
        table = self.document.get("input", {})
        return isinstance(table, dict) and table.get("batch") == "dynamic"

    def profile_for(self, variant: str = "auto") -> str | None:
        """The reference profile of a variant: its own, else the bundle's, else None."""
        return self.variant(variant).profile or self.profile

    def golden_for(self, variant: str = "auto") -> str:
        """The expected detections of a variant: its own, else the golden set's."""
        return self.variant(variant).golden or self.golden.path

    def files_for(self, variant: str = "auto") -> tuple[FileEntry, ...]:
        """The files a device needs: all with ``auto``, else without what other variants own."""
        if variant == "auto":
            return self.files
        chosen = self.variant(variant)
        owned = {path for one in self.variants for path in (one.path, one.profile, one.golden)}
        others = owned - {chosen.path, chosen.profile, chosen.golden}
        return tuple(entry for entry in self.files if entry.path not in others)

    def entry(self, path: str) -> FileEntry:
        """The file entry at ``path``; a valid manifest has one for each path it names."""
        return next(entry for entry in self.files if entry.path == path)


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: its folder and its valid manifest."""

    root: Path
    manifest: Manifest

    @classmethod
    def open(cls, root: Path) -> Bundle:
        """Read the manifest of the bundle in ``root`` (hashes are checked by `verify`).

        Raises:
            BundleError: when there is no readable, valid manifest.
        """
        path = root / MANIFEST_NAME
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            if engine := _engine(root):
                raise BundleError(
                    f"{root}: is {engine}, not a bundle; build one from the .pt file that it was"
                    " exported from with `edge-builder build`"
                ) from None
            raise BundleError(
                f"{path}: {reason}; is {root} a folder made by `edge-builder build`?"
            ) from None
        return cls(root, Manifest.parse(data, where=str(path)))

    def path(self, relative: str) -> Path:
        """The place of one of the bundle's files."""
        return self.root / relative

    def verify(
        self, progress: Callable[[FileEntry], None] | None = None, *, variant: str = "auto"
    ) -> None:
        """Check size and SHA-256 of every file, and that no other file is there.

        Args:
            progress: called after each file.
            variant: what is needed here; the models of other variants may be absent.

        Raises:
            BundleError: listing every file that is missing, damaged or not declared.
        """
        faults = []
        for entry in self.manifest.files_for(variant):
            if fault := file_fault(self.path(entry.path), entry):
                faults.append(f"{entry.path} {fault}")
            if progress is not None:
                progress(entry)
        faults += [f"{path} is not in the manifest" for path in self._undeclared()]
        if faults:
            raise BundleError(f"{self.root}: " + "; ".join(faults))

    def _undeclared(self) -> list[str]:
        declared = {entry.path for entry in self.manifest.files} | {MANIFEST_NAME}
        # Engines are compiled on the device beside the bundle's own files; they are a cache.
        found = (
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_symlink() or not path.is_dir()
        )
        return sorted(
            path for path in found if path not in declared and not path.startswith("engines/")
        )


def file_fault(path: Path, entry: FileEntry) -> str | None:
    """What is wrong with a file against its entry, in words, or None when it is right."""
    if path.is_symlink() or not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != entry.size:
        return f"has {size} bytes instead of {entry.size}"
    if hash_file(path) != entry.sha256:
        return f"is damaged: its SHA-256 is not {entry.sha256[:12]}…"
    return None


def hash_file(path: Path) -> str:
    """SHA-256 of a file in hex, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def inside(path: str) -> bool:
    """Whether a path from a document stays inside its folder: relative, plain, no ``..``."""
    pure = PurePosixPath(path)
    return (
        bool(path)
        and len(path) <= 512
        and not pure.is_absolute()
        and "\\" not in path
        and path.isprintable()
        and str(pure) == path
        and not any(part in ("..", ".") for part in pure.parts)
    )


def _inside_path(fields: Fields, name: str, *, optional: bool = False) -> str | None:
    if optional and not fields.has(name):
        return None
    known = len(fields.faults)
    value = fields.text(name)
    if len(fields.faults) == known and not inside(value):
        fields.fault(name, f"{value!r} leaves the bundle; paths are relative and have no '..'")
    return value


def _read_manifest(fields: Fields, document: Mapping[str, Any]) -> Manifest:
    schema = fields.integer("schema_version")
    if schema != SCHEMA_VERSION:
        fields.fault(
            "schema_version",
            f"{schema} is not known here (known: {SCHEMA_VERSION}); update Outpost on this machine",
        )
    manifest = Manifest(
        name=fields.text("name", pattern=NAME_PATTERN),
        version=fields.integer("version", least=1),
        created=fields.text("created"),
        classes=fields.texts("classes", least=1),
        head=fields.text("head", choices=HEADS),
        input=_read_input(fields.table("input")),
        decode=_read_decode(fields.table("decode")),
        variants=tuple(_read_variant(item) for item in fields.tables("variants", least=1)),
        golden=_read_golden(fields.table("golden")),
        profile=_inside_path(fields, "profile", optional=True),
        reference_image=_inside_path(fields, "reference_image", optional=True),
        embedding=_read_embedding(fields.table("embedding")) if fields.has("embedding") else None,
        files=tuple(_read_file(item) for item in fields.tables("files", least=1)),
        source=fields.mapping("source"),
        license=fields.text("license", ""),
        document=document,
    )
    _check_files(fields, manifest)
    return manifest


def _read_input(fields: Fields) -> InputSpec:
    fields.text("batch", "", choices=("dynamic",))
    return InputSpec(
        width=fields.integer("width", least=32, most=8192),
        height=fields.integer("height", least=32, most=8192),
        layout=fields.text("layout", choices=("NCHW",)),
        colour=fields.text("colour", choices=("RGB", "BGR")),
        scale=fields.number("scale", least=1e-9, most=1.0),
        pad_value=fields.integer("pad_value", least=0, most=255),
        interpolation=fields.text("interpolation", choices=INTERPOLATIONS),
        scaleup=fields.boolean("scaleup"),
        rounding=fields.text("rounding", choices=("round-0.1",)),
    )


def _read_decode(fields: Fields) -> DecodeSpec:
    spec = DecodeSpec(
        confidence=fields.number("confidence", least=0.0, most=1.0),
        iou=fields.number("iou", least=0.0, most=1.0),
        max_detections=fields.integer("max_detections", least=1, most=10_000),
        floor=fields.number("floor", least=0.0, most=1.0),
    )
    if spec.floor > spec.confidence:
        fields.fault("floor", f"{spec.floor} is above the confidence, {spec.confidence}")
    return spec


def _read_variant(fields: Fields) -> Variant:
    compared = fields.table("parity", optional=True)
    for name in ("reference", "detections_reference"):
        compared.text(name, None, choices=REFERENCES)
    return Variant(
        id=fields.text("id", pattern=NAME_PATTERN),
        precision=fields.text("precision", choices=PRECISIONS),
        path=_inside_path(fields, "path") or "",
        opset=fields.integer("opset", least=7),
        parity=fields.mapping("parity"),
        profile=_inside_path(fields, "profile", optional=True),
        golden=_inside_path(fields, "golden", optional=True),
    )


def _read_embedding(fields: Fields) -> EmbeddingSpec:
    return EmbeddingSpec(
        output=fields.text("output", pattern=NAME_PATTERN),
        channels=fields.integer("channels", least=1, most=MAX_CHANNELS),
        path=_inside_path(fields, "path") or "",
    )


def _read_golden(fields: Fields) -> GoldenSpec:
    tolerances = fields.table("tolerance")
    return GoldenSpec(
        path=_inside_path(fields, "path") or "",
        reference=fields.text("reference", choices=REFERENCES),
        frames=fields.integer("frames", least=1),
        synthetic=fields.boolean("synthetic"),
        tolerance={
            name: Tolerance(
                iou=(table := tolerances.table(name)).number("iou", least=0.0, most=1.0),
                score=table.number("score", least=0.0, most=1.0),
            )
            for name in tolerances.names()
        },
    )


def _read_file(fields: Fields) -> FileEntry:
    return FileEntry(
        path=_inside_path(fields, "path") or "",
        size=fields.integer("size", least=0),
        sha256=fields.text("sha256", pattern=_SHA256),
    )


def _check_files(fields: Fields, manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        fields.fault("files", f"{path!r} is listed twice")
    if MANIFEST_NAME in paths:
        fields.fault("files", f"{MANIFEST_NAME} cannot list itself")
    named = [variant.path for variant in manifest.variants] + [manifest.golden.path]
    named += [path for path in (manifest.profile, manifest.reference_image) if path]
    owned = [path for one in manifest.variants for path in (one.profile, one.golden)]
    named += [path for path in owned if path]
    named += [manifest.embedding.path] if manifest.embedding is not None else []
    for path in named:
        if path and path not in paths:
            fields.fault("files", f"{path!r} is named but not listed")
    for variant in manifest.variants:
        if variant.precision not in manifest.golden.tolerance:
            fields.fault("golden.tolerance", f"has no entry for precision {variant.precision!r}")


def _engine(path: Path) -> str:
    """What kind of engine file lies where a bundle should be; "" for anything else."""
    from edge_agent.engines.plan import HEAD_BYTES, describe  # only for this message

    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            return describe(file.read(HEAD_BYTES))
    except OSError:
        return ""
