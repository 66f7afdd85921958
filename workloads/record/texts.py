"""Texts of several kinds out of Debian packages, as the documents that a small model learns from.

The packages are fetched with `apt-get download` and unpacked into a folder; nothing is installed.
"""

import dataclasses
import gzip
import pathlib
import random
import subprocess

DOCUMENT_BYTES = 16384  # longer files count as several documents
KIND_BYTES = 4_000_000  # a kind's share: enough that nothing is seen twice, and no kind rules


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    packages: tuple
    pattern: str
    licence: str
    read: callable


def read_plain(path):
    return path.read_text(encoding="utf-8", errors="replace")


def read_gzip(path):
    return gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")


def read_man(path):
    """The source of a manual page, without its comments: they are licences, the same in all."""
    lines = read_gzip(path).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(('.\\"', "'\\\"")))


def read_bible(path):
    """The text is compressed in a way of its own; the package's program prints it."""
    root = path.parents[2]
    command = [root / "usr/bin/bible", "-p", root / "usr/lib", "-f", "Gen1:1-Rev22:21"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


KINDS = (
    Kind(
        "c", ("linux-libc-dev",), "usr/include/**/*.h", "GPL-2 with Linux-syscall-note", read_plain
    ),
    Kind("python", ("libpython3.11-stdlib",), "usr/lib/**/*.py", "PSF", read_plain),
    Kind(
        "perl", ("perl-modules-5.36",), "usr/share/perl/**/*.pm", "GPL-1+ or Artistic", read_plain
    ),
    Kind(
        "man-en",
        ("manpages", "manpages-dev"),
        "usr/share/man/man*/*.gz",
        "GPL-2+ and others",
        read_man,
    ),
    Kind("man-de", ("manpages-de",), "usr/share/man/de/**/*.gz", "GPL-3+", read_man),
    Kind("man-fr", ("manpages-fr",), "usr/share/man/fr/**/*.gz", "GPL-3+", read_man),
    Kind("man-es", ("manpages-es",), "usr/share/man/es/**/*.gz", "GPL-3+", read_man),
    Kind(
        "man-ja",
        ("manpages-ja", "manpages-ja-dev"),
        "usr/share/man/ja/**/*.gz",
        "GPL-2+ and others",
        read_man,
    ),
    Kind(
        "prose", ("bible-kjv", "bible-kjv-text"), "usr/lib/bible.data", "public domain", read_bible
    ),
    Kind("dictionary", ("dict-gcide",), "usr/share/dictd/*.dz", "GPL-1+", read_gzip),
)


def fetch(folder):
    """Downloads and unpacks what is missing; returns "package version" of every package."""
    folder = pathlib.Path(folder)
    versions = []
    for package in sorted({p for kind in KINDS for p in kind.packages}):
        archives = sorted(folder.glob(f"{package}_*.deb"))
        if not archives:
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
            archives = sorted(folder.glob(f"{package}_*.deb"))
        if len(archives) != 1:
            raise SystemExit(f"{folder}: one version of {package} is needed, {len(archives)} found")
        subprocess.run(["dpkg-deb", "-x", archives[0], folder / "unpacked"], check=True)
        versions.append(f"{package} {archives[0].name.split('_')[1]}".replace("%3a", ":"))
    return versions


def pieces(text):
    """Cuts a long text at ends of lines."""
    start = 0
    while start < len(text):
        end = start + DOCUMENT_BYTES
        end = len(text) if end >= len(text) else text.rfind("\n", start, end) + 1 or end
        yield text[start:end]
        start = end


def documents(folder, kind, rng):
    """The kind's documents in random order, as far as KIND_BYTES reach."""
    files = sorted(
        f
        for f in (pathlib.Path(folder) / "unpacked").glob(kind.pattern)
        if f.is_file() and not f.is_symlink()
    )
    if not files:
        raise SystemExit(
            f"{folder}: no file {kind.pattern}; is {' '.join(kind.packages)} unpacked?"
        )
    rng.shuffle(files)
    found = []
    for file in files:
        found.extend(p for p in pieces(kind.read(file)) if len(p) >= 512)
        # A file that holds a whole kind is read to its end: its documents are then a sample of it.
        if sum(map(len, found)) > 4 * KIND_BYTES and len(files) > 1:
            break
    rng.shuffle(found)
    size = 0
    for n, document in enumerate(found):
        size += len(document.encode())
        if size > KIND_BYTES:
            return found[: n + 1]
    return found


def corpus(folder, seed):
    """name of kind -> documents"""
    rng = random.Random(seed)
    return {kind.name: documents(folder, kind, rng) for kind in KINDS}
