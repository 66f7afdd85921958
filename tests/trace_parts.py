"""`moebal trace slice|concat|sum|export` on traces with every optional object, held against numpy."""

import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

T, L, E, R = 11, 4, 6, 3
IDS = np.array([3, 4, 6, 9], dtype=np.int32)


def write(path, seed, t=T, phase="decode", objects=True, **attributes):
    """A trace as h5py writes one; returns its arrays."""
    rng = np.random.default_rng(seed)
    by_source = rng.integers(0, 50, size=(t, L, R, E), dtype=np.uint32)
    a = {"load": by_source.sum(axis=2, dtype=np.uint32)}
    if objects:
        a |= {"load_by_source": by_source,
              "tokens": rng.integers(0, 99, size=(t, R), dtype=np.uint32),
              "step_time": np.cumsum(rng.random(t)) - 0.25,
              "step_phase": (np.arange(t) // 3 % 2).astype(np.uint8)}
        a["step_time"] -= a["step_time"][0]
    with h5py.File(path, "w") as f:
        for name, values in a.items():
            f[name] = values
        f.attrs.update({"format": "moebal-trace", "version": 1, "model": "toy", "top_k": 2,
                        "num_groups": 2, "layer_ids": IDS, "phase": phase, "source": "made up",
                        "created_by": "h5py", "steps_per_record": 5} | attributes)
    return a


def moebal(status, *args):
    result = subprocess.run([os.environ["MOEBAL"], "trace", *args], text=True, capture_output=True,
                            check=False)
    if result.returncode != status:
        sys.exit(f"{args}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout if status == 0 else result.stderr


def check(path, expected, **attributes):
    """All arrays and these attributes, and no other array."""
    moebal(0, "verify", path)
    with h5py.File(path) as f:
        if set(f) != set(expected):
            sys.exit(f"{path}: has {set(f)}, not {set(expected)}")
        for name, values in expected.items():
            same = np.allclose(f[name][:], values, rtol=0, atol=1e-12) \
                if name == "step_time" else np.array_equal(f[name][:], values)
            if not same or (name == "load" and f[name].dtype != np.uint32):
                sys.exit(f"{path}: other {name}:\n{f[name][:]}\nnot\n{values}")
        for name, value in attributes.items():
            there = f.attrs[name]
            there = there.decode() if isinstance(there, bytes) else there
            if not np.array_equal(there, value):
                sys.exit(f"{path}: {name} is {there}, not {value}")


def says(text, *wanted):
    for one in wanted:
        if one not in text:
            sys.exit(f"not '{one}', but:\n{text}")


def refuses(status, wanted, *args):
    text = moebal(status, *args, "-o", "no.h5")
    says(text, wanted)
    if status == 1 and text.count("\n") != 1 or os.path.exists("no.h5"):
        sys.exit(f"{args}: not one line, or something written:\n{text}")


def test_slice():
    a = write("a.h5", 1)
    says(moebal(0, "slice", "a.h5", "--steps", "2:7", "--layers", "0,2:4", "-o", "s.h5"),
         "s.h5: 5 steps x 3 layers x 6 experts")
    kept = [0, 2, 3]
    check("s.h5", {"load": a["load"][2:7, kept], "load_by_source": a["load_by_source"][2:7, kept],
                   "tokens": a["tokens"][2:7], "step_phase": a["step_phase"][2:7],
                   "step_time": a["step_time"][2:7] - a["step_time"][2]},
          layer_ids=IDS[kept], steps_per_record=5, top_k=2, num_groups=2, phase="decode",
          model="toy", source="made up; steps 2 to 6, 3 of 4 layers (slice)")
    for args, steps, layers in [(["--steps", ":3"], slice(0, 3), slice(None)),
                                (["--steps", "9:"], slice(9, 11), slice(None)),
                                (["--steps", "4"], slice(4, 5), slice(None)),
                                (["--layer-ids", "4,5:9"], slice(None), slice(1, 3)),
                                (["--layer-ids", "4:"], slice(None), slice(1, 4)),
                                ([], slice(None), slice(None))]:
        moebal(0, "slice", "a.h5", *args, "-o", "s.h5")
        with h5py.File("s.h5") as f:
            if not np.array_equal(f["load"][:], a["load"][steps, layers]):
                sys.exit(f"slice {args}: other loads")
    for args, wanted in [(["--steps", "3:12"], "of the 11 steps of a.h5"),
                         (["--steps", "5:5"], "of the 11 steps"), (["--steps", "11"], "of the 11"),
                         (["--steps", "x"], "should be like 10:20"),
                         (["--steps", ""], "should be like"), (["--steps", "1:2:3"], "like 10:20"),
                         (["--steps", "1,2"], "should be a range"),
                         (["--steps=-1:"], "should be like 10:20"),
                         (["--layers", "2,1"], "layers should ascend"),
                         (["--layers", "1,1"], "layers should ascend"),
                         (["--layers", "4"], "a.h5 has 4 layers, number 3 to 9"),
                         (["--layers", "0:5"], "a.h5 has 4 layers"),
                         (["--layers", "0,"], "should be like 10:20"),
                         (["--layer-ids", "5"], "a.h5 has 4 layers, number 3 to 9")]:
        refuses(1, wanted, "slice", "a.h5", *args)
    refuses(2, "one of them at a time", "slice", "a.h5", "--layers", "0", "--layer-ids", "3")
    refuses(2, "which FILE?", "slice")
    says(moebal(1, "slice", "a.h5", "-o", "a.h5"), "is an input")


def test_concat():
    a, b = write("a.h5", 1), write("b.h5", 2, t=4)
    says(moebal(0, "concat", "a.h5", "b.h5", "a.h5", "-o", "c.h5"), "c.h5: 26 steps x 4 layers")
    expected = {name: np.concatenate([a[name], b[name], a[name]]) for name in a}
    at, times = 0.0, []
    for one in a, b, a:
        times.append(one["step_time"] + at)
        at = times[-1][-1] + (times[-1][-1] - times[-1][0]) / (len(one["step_time"]) - 1)
    check("c.h5", expected | {"step_time": np.concatenate(times)}, phase="decode",
          steps_per_record=5, source="made up; first of 3 traces (concat)")
    p = write("p.h5", 3, phase="prefill", objects=False)
    says(moebal(0, "concat", "p.h5", "a.h5", "-o", "c.h5"), "/step_time is left out",
         "/load_by_source is left out", "/tokens is left out", "the phases differ")
    check("c.h5", {"load": np.concatenate([p["load"], a["load"]]),
                   "step_phase": np.concatenate([[0] * T, a["step_phase"]])}, phase="mixed")
    q = write("q.h5", 4, objects=False)
    moebal(0, "concat", "p.h5", "q.h5", "-o", "c.h5")
    check("c.h5", {"load": np.concatenate([p["load"], q["load"]]),
                   "step_phase": [0] * T + [1] * T}, phase="mixed")
    for wanted, changed in [('its model is "other", but that of a.h5 is "toy"', {"model": "other"}),
                            ("its top_k is 3", {"top_k": 3}),
                            ("number of groups is 3", {"num_groups": 3}),
                            ("steps_per_record is 6", {"steps_per_record": 6}),
                            ("have other numbers", {"layer_ids": IDS + 1})]:
        write("d.h5", 5, **changed)
        refuses(1, wanted, "concat", "a.h5", "d.h5")
    refuses(2, "at least two", "concat", "a.h5")
    says(moebal(1, "concat", "a.h5", "b.h5", "-o", "b.h5"), "b.h5: is an input")


def test_sum():
    a = write("a.h5", 1)
    says(moebal(0, "sum", "a.h5", "--block", "3", "-o", "s.h5"),
         "s.h5: 3 steps x 4 layers x 6 experts, each the sum of 3", "the last 2 steps are left out")

    def sums(x):
        return x[:9].reshape(3, 3, *x.shape[1:]).sum(axis=1)
    check("s.h5", {"load": sums(a["load"]), "load_by_source": sums(a["load_by_source"]),
                   "tokens": sums(a["tokens"]), "step_time": a["step_time"][:9:3],
                   "step_phase": [0, 1, 0]}, steps_per_record=15, phase="decode",
          source="made up; sums of 3 steps (sum)")
    moebal(0, "sum", "a.h5", "--block", "2", "-o", "s.h5")
    with h5py.File("s.h5") as f:
        if list(f["step_phase"]) != [0, 2, 1, 0, 2]:
            sys.exit(f"phases of mixed blocks: {list(f['step_phase'])}")
    refuses(1, "a.h5 has only 11 steps", "sum", "a.h5", "--block", "12")
    refuses(2, "should be 2 or more", "sum", "a.h5", "--block", "1")
    refuses(2, "--block N is missing", "sum", "a.h5")
    write("deep.h5", 5, steps_per_record=2**62)
    refuses(1, "steps of 4611686018427387904 forward passes each, of which 2 are too many", "sum",
            "deep.h5", "--block", "2")
    os.remove("deep.h5")
    with h5py.File("a.h5", "r+") as f:
        f["load"][4, 2, 1] = 2**32 - 1
    refuses(1, "a.h5: steps 3 to 5, layer 2: the loads add up to more", "sum", "a.h5", "-n", "3")
    long = write("long.h5", 6, t=5000, objects=False)
    moebal(0, "sum", "long.h5", "--block", "2500", "-o", "s.h5")
    check("s.h5", {"load": long["load"].reshape(2, 2500, L, E).sum(axis=1)})


def test_export():
    a = write("a.h5", 1)
    says(moebal(0, "export", "a.h5", "--format", "npy", "-o", "a.npy"),
         "a.npy: 11 steps x 4 layers x 6 experts, uint32 [steps, layers, experts]")
    out = np.load("a.npy")
    if out.dtype != np.uint32 or not np.array_equal(out, a["load"]):
        sys.exit("a.npy: other loads")
    moebal(0, "export", "a.h5", "--format", "csv", "-o", "a.csv")
    table = np.loadtxt("a.csv", delimiter=",", skiprows=1, dtype=np.int64)
    if open("a.csv", encoding="ascii").readline() != "step,layer,expert,count\n" or \
            not np.array_equal(table[:, 3].reshape(T, L, E), a["load"]) or \
            not np.array_equal(table[:E * L, 1], np.repeat(IDS, E)):
        sys.exit("a.csv: other loads")
    # There and back: the same digest of the loads.
    digests = [moebal(0, "verify", "a.h5").split("loads: ")[1].split(",")[0]]
    for name in "a.npy", "a.csv":
        moebal(0, "import", name, "-o", "back.h5", "--top-k", "2", "--phase", "decode")
        digests.append(moebal(0, "verify", "back.h5").split("loads: ")[1].split(",")[0])
    if len(set(digests)) != 1:
        sys.exit(f"there and back: digests {digests}")
    with h5py.File("back.h5") as f:
        if not np.array_equal(f.attrs["layer_ids"], IDS):
            sys.exit(f"back.h5: layers {f.attrs['layer_ids']}")
    moebal(0, "export", "a.h5", "--format", "npy", "-o", "a.npy")  # an earlier export is replaced
    says(moebal(1, "export", "a.h5", "--format", "npy", "-o", "a.csv"), "is there, and no npy")
    says(moebal(1, "export", "a.h5", "--format", "npy", "-o", "a.h5"), "a.h5: is an input")
    says(moebal(1, "export", "a.h5", "--format", "csv", "-o", "none/a.csv"), "none/a.csv")
    refuses(2, "--format is missing", "export", "a.h5")
    refuses(2, "there is no format 'xls'", "export", "a.h5", "--format", "xls")


def main():
    for test in test_slice, test_concat, test_sum, test_export:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            test()
            left = [name for name in os.listdir(".") if ".part-" in name]
            if left:
                sys.exit(f"left behind: {left}")
            os.chdir("/")


main()
