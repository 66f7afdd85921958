"""Arrays and tables as numpy, h5py and csv write them, imported, and read back by h5py.

  import_arrays.py             runs the program that $MOEBAL names on all of them
  import_arrays.py FOLDER      only writes the good ones, for fuzzing: FOLDER/FORMAT/NAME
"""

import csv
import io
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

import h5py
import numpy as np

T, L, E = 5, 3, 8
INTEGERS = ["|u1", "|i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4",
            "<u8", ">u8", "<i8", ">i8"]
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]


def loads(dtype="<i4", t=T):
    """Whole numbers that the type holds, none like its neighbours'."""
    most = {"|u1": 255, "|i1": 127, "<f2": 2048, ">f2": 2048, "<i2": 32767, ">i2": 32767,
            "<u2": 65535, ">u2": 65535, "<f4": 1 << 24, ">f4": 1 << 24}.get(dtype, 2**32 - 1)
    if dtype in ("<i4", ">i4"):
        most = 2**31 - 1
    flat = [most if i == 7 else (i * i * 37 + i) % (most + 1) for i in range(t * L * E)]
    return np.array(flat, dtype=dtype).reshape(t, L, E)


class Case:
    """A file's bytes, what the trace should hold, and arguments of `trace import`."""

    def __init__(self, format, name, content, expected, *args, layer_ids=None, says=()):
        self.format, self.name, self.content = format, name, content
        self.expected, self.args, self.layer_ids, self.says = expected, args, layer_ids, says


def npy(array, version=(1, 0)):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def npz(save=np.savez, **arrays):
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def hdf5(fill, **options):
    with tempfile.NamedTemporaryFile(suffix=".h5") as file:
        with h5py.File(file.name, "w", **options) as f:
            fill(f)
        return open(file.name, "rb").read()


def dataset(name, data, **options):
    return lambda f: f.create_dataset(name, data=data, **options)


def table(rows, header=True, order=(0, 1, 2, 3), names=("step", "layer", "expert", "count"), **how):
    stream = io.StringIO()
    writer = csv.writer(stream, **how)
    if header:
        writer.writerow([names[c] for c in order])
    for row in rows:
        writer.writerow([row[c] for c in order])
    return stream.getvalue().encode()


def rows(array, first=0, layers=None, zeros=True):
    return [(first + t, l if layers is None else layers[l], e, int(array[t, l, e]))
            for t in range(len(array)) for l in range(L) for e in range(E)
            if zeros or array[t, l, e] != 0]


def npy_cases():
    for dtype in INTEGERS + FLOATS + ["|b1"]:
        a = loads(dtype) if dtype != "|b1" else loads() % 3 == 0
        for order in "CF":
            b = np.array(a, order=order)
            yield Case("npy", f"{dtype[1:]}-{order}-{'big' if dtype[0] == '>' else 'any'}.npy",
                       npy(b), a)
    yield Case("npy", "step.npy", npy(loads()[1]), loads()[1:2], says=["taken as one step"])
    yield Case("npy", "step-F.npy", npy(np.asfortranarray(loads()[1])), loads()[1:2])
    yield Case("npy", "one.npy", npy(loads(t=1)), loads(t=1))
    for version in (2, 0), (3, 0):
        yield Case("npy", f"v{version[0]}.npy", npy(loads(), version), loads())
    long = np.arange(3000 * L * E, dtype=np.uint16).reshape(3000, L, E)
    yield Case("npy", "long.npy", npy(long), long)
    yield Case("npy", "long-F.npy", npy(np.asfortranarray(long)), long)


def npz_cases():
    a = loads()
    yield Case("npz", "stored.npz", npz(a=a), a)
    yield Case("npz", "deflated.npz", npz(np.savez_compressed, a=a), a)
    yield Case("npz", "fortran.npz", npz(np.savez_compressed, a=np.asfortranarray(a)), a)
    yield Case("npz", "named.npz", npz(a=a // 2, load=a, ids=np.arange(L)), a,
               says=["the loads are load, by its name; left out: a"])
    yield Case("npz", "text.npz", npz(notes=np.array("h\u00e9"), when=np.array(3.5), b=a), a)
    yield Case("npz", "told.npz", npz(load=a // 2, mine=a), a, "--dataset", "mine")
    yield Case("npz", "step.npz", npz(loads=a[2]), a[2:3])


def hdf5_cases():
    a = loads()
    for dtype in INTEGERS + FLOATS:
        yield Case("hdf5", f"{dtype[1:]}-{'big' if dtype[0] == '>' else 'any'}.h5",
                   hdf5(dataset("load", loads(dtype))), loads(dtype))
    for name, options in {
            "chunks": {"chunks": (2, 2, 3), "compression": "gzip", "shuffle": True},
            "long-chunks": {"chunks": (5, 1, 1), "fletcher32": True},
            "scaled": {"chunks": (1, L, E), "scaleoffset": 0}}.items():
        yield Case("hdf5", f"{name}.h5", hdf5(dataset("a/b/x", a, **options)), a)
    yield Case("hdf5", "latest.h5", hdf5(dataset("load", a, chunks=(2, L, E)), libver="latest"), a)

    def several(f):
        f["other"], f["group/expert_load"], f["tokens"] = a // 2, a, np.arange(T)
    yield Case("hdf5", "several.h5", hdf5(several), a, says=["the loads are group/expert_load"])
    yield Case("hdf5", "told.h5", hdf5(several), a // 2, "--dataset", "/other")
    yield Case("hdf5", "step.h5", hdf5(dataset("x", a[0])), a[0:1])


def csv_cases():
    a = loads("<u2")
    a[:, :, 0] = 0
    plain = table(rows(a))
    yield Case("csv", "crlf.csv", plain, a, says=["8 experts: the largest number is 7"])
    yield Case("csv", "lf.csv", table(rows(a), lineterminator="\n"), a)
    yield Case("csv", "no-header.csv", table(rows(a), header=False), a)
    yield Case("csv", "order.csv", table(rows(a), order=(3, 1, 0, 2)), a)
    yield Case("csv", "load.csv", table(rows(a), names=("STEP", "Layer", "expert", "load")), a)
    yield Case("csv", "quoted.csv", table(rows(a), quoting=csv.QUOTE_ALL), a)
    yield Case("csv", "no-zeros.csv", table(rows(a, zeros=False)), a)
    yield Case("csv", "from-17.csv", table(rows(a, first=17)), a)
    yield Case("csv", "layers.csv", table(rows(a, layers=(3, 4, 9))), a, layer_ids=[3, 4, 9],
               says=["not all from 3 to 9"])
    mixed = sorted(rows(a), key=lambda r: (r[0], -r[1], r[2] * 5 % 7))
    yield Case("csv", "any-order.csv", table(mixed), a)
    more = [r[:3] + (f"{r[3]}.0", "a,\"b\"") for r in rows(a)]
    yield Case("csv", "more.csv",
               table(more, order=range(5), names=("step", "layer", "expert", "count", "rank, name")),
               a, says=['column "rank, name" is left out'])
    text = "\ufeff# of a model\n\n step , layer,expert,count \n" + "\n".join(
        f"{s}, {l} ,{e},\t{c}" for s, l, e, c in rows(a)) + "\n# end\n\n"
    yield Case("csv", "spaces.csv", text.encode(), a)
    yield Case("csv", "cut.csv", plain.rstrip(), a, says=["was the file cut off?"])


def good_cases():
    yield from npy_cases()
    yield from npz_cases()
    yield from hdf5_cases()
    yield from csv_cases()


def changed(array, at, value, dtype):
    array = (array % 1000).astype(dtype)
    array[at] = value
    return array


def patched(content, old, new):
    assert old in content
    return content.replace(old, new)


def zipped(name, content, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def bad_npy():
    a = loads()
    yield "negative.npy", npy(changed(a, (2, 1, 3), -1, "<i4")), "[2,1,3] is -1, but should be"
    yield "half.npy", npy(changed(a, (4, 2, 7), 0.5, ">f4")), "[4,2,7] is 0.5, but should be"
    yield "nan.npy", npy(changed(a, (0, 0, 1), np.nan, "<f2")), "[0,0,1] is nan"
    yield "inf.npy", npy(np.asfortranarray(changed(a, (3, 0, 1), np.inf, "<f8"))), "[3,0,1] is inf"
    yield "large.npy", npy(changed(a, (1, 1, 1), 2**32, "<u8")), "[1,1,1] is 4294967296"
    yield "huge.npy", npy(changed(a, (1, 1, 1), 2**64 - 1, "<u8")), "is 18446744073709551615"
    yield "cut.npy", npy(a)[:-1], "480 bytes of data, but there are 479: it was cut off"
    yield "header-cut.npy", npy(a)[:60], "within its header"
    yield "empty.npy", b"", "of no format that is recognised"
    yield "no-steps.npy", npy(a[:0]), "holds no loads: its shape is (0, 3, 8)"
    yield "rank-1.npy", npy(a[0, 0]), "has 1 dimensions (8)"
    yield "rank-4.npy", npy(a[None]), "has 4 dimensions (1, 5, 3, 8)"
    yield "objects.npy", npy(np.array([[1, None]], dtype=object)), "pickled Python objects"
    yield "complex.npy", npy(a.astype("c8")), "complex"
    yield "fields.npy", npy(np.zeros((2, 2), dtype=[("a", "i4"), ("b", "i4")])), "structure"
    yield "text.npy", npy(np.array([["a", "b"]])), "holds text"


def bad_npz():
    a = loads()
    deflated = npz(np.savez_compressed, a=a)
    yield "several.npz", npz(x=a, y=a), "several arrays: say which with --dataset NAME; it has x, y"
    yield "two-loads.npz", npz(load=a, loads=a), "say which with --dataset"
    yield "none.npz", npz(x=a[0, 0], y=a[0, 0]), "has no array of numbers with 3 dimensions"
    yield "missing.npz", npz(x=a), "has no array y; there are: x", "--dataset", "y"
    yield "cut.npz", deflated[:-30], "of no format that is recognised"
    yield "cut-told.npz", deflated[:-30], "is no zip archive, or was cut off", "--format", "npz"
    yield "negative.npz", npz(x=changed(a, (2, 1, 3), -7, "<i2")), "array x: [2,1,3] is -7"
    yield "crc.npz", patched(npz(x=a), a[0].tobytes(), a[1].tobytes()), "CRC"
    lzma = zipped("x.npy", npy(a), zipfile.ZIP_LZMA)
    yield "lzma.npz", lzma, "packed by method 14", "--format", "npz"
    stored = zipped("x.npy", npy(a))
    claim = bytearray(stored)
    struct.pack_into("<II", claim, claim.index(b"PK\1\2") + 20, 0x7fffffff, 0x7fffffff)
    yield "claim.npz", bytes(claim), "says that it takes 2147483647 bytes", "--format", "npz"
    flags = bytearray(stored)
    for signature, offset in (b"PK\3\4", 6), (b"PK\1\2", 8):
        flags[flags.index(signature) + offset] |= 1
    yield "encrypted.npz", bytes(flags), "is encrypted", "--format", "npz"


def bad_hdf5():
    a = loads()

    def several(f):
        f["x"], f["y/z"] = a, a
    yield "several.h5", hdf5(several), "say which with --dataset NAME; it has x, y/z"

    def many(f):
        f["load"] = a
        for i in range(256):
            f[f"x{i}"] = a[:1, :1, :1]
    yield "many.h5", hdf5(many), "has more than 256 arrays: say which with --dataset NAME"
    yield "missing.h5", hdf5(several), "there is no /y/q", "--dataset", "y/q"
    yield "group.h5", hdf5(several), "/y/: should be a dataset", "--dataset", "/y/"
    yield "none.h5", hdf5(dataset("x", a[0, 0])), "has no array of numbers"
    yield "text.h5", hdf5(dataset("x", "text")), "has no array of numbers"
    yield "negative.h5", hdf5(dataset("x", changed(a, (2, 1, 3), -1, ">i8"))), "/x: [2,1,3] is -1"
    yield "half.h5", hdf5(dataset("x", changed(a, (4, 2, 7), 1.5, "<f8"))), "[4,2,7] is 1.5"
    yield "huge.h5", hdf5(dataset("x", changed(a, (0, 0, 0), 2**64 - 1, "<u8"))), "18446744073709551615"
    yield "empty.h5", hdf5(dataset("x", a[:0])), "holds no loads: its shape is (0, 3, 8)"
    yield "cut.h5", hdf5(dataset("x", a))[:-100], "cut.h5: is not HDF5, or damaged or cut off"

    def linked(f):
        f["x"] = h5py.ExternalLink("elsewhere.h5", "/x")
        f["s"] = h5py.SoftLink("/x")
    yield "linked.h5", hdf5(linked), "/x: is a link to elsewhere", "--dataset", "x"
    yield "soft.h5", hdf5(linked), "/s: is a link to elsewhere", "--dataset", "s"


def bad_csv():
    a = loads("<u2")
    good = rows(a)
    yield "gap.csv", table(r for r in good if r[0] != 2), "line 50: step 3 after step 1: those between"
    yield "hole.csv", table(r for r in good if r[:2] != (2, 1)), \
        "step 2 (from line 50) has no row of layer 1"
    yield "unsorted.csv", table(good[24:] + good[:24]), "line 98: step 0 after step 4"
    yield "twice.csv", table(good[:3] + good[2:]), "line 5: step 0, layer 0, expert 2 stands already in line 4"
    yield "negative.csv", table(good[:4] + [(0, 0, 4, -3)]), 'line 6: count is "-3", but should be'
    yield "half.csv", table(good[:4] + [(0, 0, 4, 0.5)]), 'count is "0.5"'
    yield "nan.csv", table(good[:4] + [(0, 0, 4, "nan")]), 'count is "nan"'
    yield "none.csv", table(good[:4] + [(0, 0, 4, "")]), 'count is ""'
    yield "large.csv", table(good[:4] + [(0, 0, 4, 2**32)]), 'count is "4294967296"'
    yield "huge.csv", table(good[:4] + [(0, 0, 4, 10**30)]), 'count is "1000'
    yield "layer.csv", table(good[:4] + [(0, 2**31, 4, 1)]), 'layer is "2147483648"'
    yield "expert.csv", table(good[:4] + [(0, 0, 2**20, 1)]), 'expert is "1048576"'
    yield "short.csv", table(good).rsplit(b",", 1)[0], "line 121: has 3 fields, but the lines before it have 4"
    yield "three.csv", b"0,0,3\n", "has 3 fields between commas", "--format", "csv"
    yield "columns.csv", b"step,layer,count\n0,0,3\n", "none is expert", "--format", "csv"
    yield "doubled.csv", b"step,step,layer,expert,count\n", "two columns are called step", \
        "--format", "csv"
    yield "header.csv", b"step,layer,expert,count\n", "holds no rows", "--format", "csv"
    yield "quote.csv", b'0,0,0,"3\n', "never closed", "--format", "csv"
    yield "nul.csv", b"0,0,0,1\n0,0,1,\0" + b"2\n", "line 2: is not text"
    yield "long.csv", b"0,0,0,1\n0,0,1," + b"2" * 5000, "line 2: is longer than 4096 bytes"
    wide = [(0, l, 0, 1) for l in range(999)] + [(0, 999, 9999, 1)]
    yield "wide.csv", table(wide), "1000 layers of 10000 experts"


def bad_cases():
    yield from bad_npy()
    yield from bad_npz()
    yield from bad_hdf5()
    yield from bad_csv()


def fail(what, result):
    sys.exit(f"{what}\n{result.stdout}{result.stderr}")


def moebal(*args):
    return subprocess.run([os.environ["MOEBAL"], "trace", "import", *args], text=True,
                          capture_output=True, check=False)


def check_good(case):
    with open(case.name, "wb") as file:
        file.write(case.content)
    result = moebal(case.name, "-o", "out.h5", "--top-k", "2", "--phase", "decode", *case.args)
    what = f"{case.format} {case.name}"
    if result.returncode != 0 or result.stderr:
        fail(f"{what}: exit status {result.returncode}", result)
    for text in [f"format: {case.format}, recognised by content", *case.says]:
        if text not in result.stdout:
            fail(f"{what}: does not say '{text}'", result)
    with h5py.File("out.h5") as f:
        load = f["load"][:]
        if load.dtype != np.uint32 or load.shape != case.expected.shape or \
                not (load == case.expected.astype(np.uint64)).all():
            fail(f"{what}: other loads", result)
        ids = list(range(L)) if case.layer_ids is None else case.layer_ids
        if list(f.attrs["layer_ids"]) != ids or f.attrs["top_k"] != 2:
            fail(f"{what}: other attributes", result)
    os.remove("out.h5")
    os.remove(case.name)


def check_bad(name, content, text, *args):
    with open(name, "wb") as file:
        file.write(content)
    result = moebal(name, "-o", "out.h5", "--top-k", "2", "--phase", "decode", *args)
    if result.returncode != 1 or result.stdout or result.stderr.count("\n") != 1:
        fail(f"{name}: exit status {result.returncode}, or not one line", result)
    if name not in result.stderr or text not in result.stderr:
        fail(f"{name}: not '{text}'", result)
    os.remove(name)
    if os.listdir("."):
        sys.exit(f"{name}: left behind: {os.listdir('.')}")


def write_corpus(folder):
    for case in good_cases():
        if len(case.content) <= 8192:
            os.makedirs(os.path.join(folder, case.format), exist_ok=True)
            with open(os.path.join(folder, case.format, case.name), "wb") as file:
                file.write(case.content)


def main():
    if len(sys.argv) > 1:
        write_corpus(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        n_good = n_bad = 0
        for case in good_cases():
            check_good(case)
            n_good += 1
        for case in bad_cases():
            check_bad(*case)
            n_bad += 1
        os.chdir("/")
    print(f"{n_good} inputs imported and read back, {n_bad} refused")


main()
