"""The recorder's counting and writing, which need no torch, against counts made by hand."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.environ["MOEBAL_SOURCE"], "workloads", "record"))
import trace_file
from trace_file import TraceError, TraceWriter, count_experts

# Three tokens, two layers (3 and 5), top 2 of 4 experts; and two tokens of a second step.
FIRST = np.array([[[0, 1], [3, 2]], [[1, 0], [2, 0]], [[1, 3], [0, 2]]])
FIRST_LOAD = [[2, 3, 0, 1], [2, 0, 3, 1]]
SECOND = np.array([[[2, 3], [0, 1]], [[3, 0], [1, 3]]])
SECOND_LOAD = [[1, 0, 1, 2], [1, 2, 0, 1]]

ABOUT = dict(
    model="toy",
    layer_ids=[3, 5],
    n_experts=4,
    top_k=2,
    num_groups=2,
    phase="mixed",
    source="made by hand",
    created_by="test",
)


def moebal(*arguments):
    done = subprocess.run(
        [os.environ["MOEBAL"], *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


class Counting(unittest.TestCase):
    def test_counts_made_by_hand(self):
        self.assertEqual(count_experts(FIRST, 4).tolist(), FIRST_LOAD)
        self.assertEqual(count_experts(SECOND, 4).tolist(), SECOND_LOAD)
        self.assertEqual(count_experts(FIRST[:0], 4).tolist(), [[0] * 4] * 2)
        self.assertEqual(count_experts(FIRST.astype(np.int16), 4).dtype, np.uint32)

    def test_refused(self):
        for change, word in (
            ((0, 1, 0, 4), "expert of a decision is 4"),
            ((0, 1, 0, -1), "expert of a decision is -1"),
            ((1, 0, 0, 0), "twice to the same expert"),
        ):
            topk = FIRST.copy()
            topk[change[:3]] = change[3]
            with self.assertRaisesRegex(TraceError, word):
                count_experts(topk, 4)
        with self.assertRaisesRegex(TraceError, "whole numbers"):
            count_experts(FIRST.astype(float), 4)
        with self.assertRaisesRegex(TraceError, r"\[tokens, layers, k\]"):
            count_experts(FIRST[0], 4)


class Writing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.path = self.folder / "toy.h5"

    def write(self, chunk=None, **more):
        with TraceWriter(self.path, **{**ABOUT, **more}) as trace:
            trace.chunk = chunk or trace.chunk
            for _ in range(3):
                trace.add_step(FIRST, "mixed")
                trace.add_step(SECOND, "decode")

    def check(self, with_topk):
        with h5py.File(self.path) as file:
            self.assertEqual(file["load"].dtype, np.uint32)
            self.assertEqual(file["load"][:].tolist(), [FIRST_LOAD, SECOND_LOAD] * 3)
            self.assertTrue(file["load"].shuffle and file["load"].compression == "gzip")
            self.assertEqual(file["tokens"][:].tolist(), [[3], [2]] * 3)
            self.assertEqual(file["step_phase"][:].tolist(), [2, 1] * 3)
            self.assertEqual(file.attrs["layer_ids"].tolist(), [3, 5])
            self.assertEqual(file.attrs["padding"], "excluded")
            self.assertEqual(file.attrs["counts"], "logical")
            self.assertEqual("topk" in file, with_topk)
            if with_topk:
                offsets = file["topk_offset"][:]
                self.assertEqual(offsets.tolist(), [0, 3, 5, 8, 10, 13, 15])
                self.assertEqual(file["topk"].dtype, np.int16)
                self.assertEqual(file["topk_source"][:].tolist(), [0] * 15)
                for step, load in enumerate(file["load"][:]):
                    topk = file["topk"][offsets[step] : offsets[step + 1]]
                    self.assertEqual(count_experts(topk, 4).tolist(), load.tolist())
        status, said = moebal("trace", "verify", self.path)
        self.assertEqual(status, 0, said)
        self.assertIn("as recorded" if trace_file.xxhash else "ok", said)
        status, said = moebal("trace", "info", self.path, "--window", 2)
        self.assertEqual(status, 0, said)
        self.assertIn("6 steps x 2 layers x 4 experts, top 2, 2 groups", said)
        self.assertNotIn("WRONG", said)

    def test_written(self):
        self.write()
        self.check(False)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["toy.h5"])

    def test_written_in_chunks_with_topk(self):
        for chunk in (1, 2, 4, 6, 7):
            self.write(chunk, with_topk=True)
            self.check(True)

    def test_same_bytes(self):
        self.write()
        before = self.path.read_bytes()
        self.write()
        self.assertEqual(before, self.path.read_bytes())

    def test_nothing_left_behind(self):
        with self.assertRaisesRegex(TraceError, "no step"):
            with TraceWriter(self.path, **ABOUT):
                pass
        with self.assertRaises(KeyboardInterrupt):
            with TraceWriter(self.path, **ABOUT) as trace:
                trace.add_step(FIRST, "decode")
                raise KeyboardInterrupt
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_refused(self):
        for about, word in (
            (dict(phase="night"), "none of prefill, decode"),
            (dict(top_k=5), "top 5 of 4"),
            (dict(top_k=0), "top 0 of 4"),
            (dict(num_groups=3), "don't divide"),
            (dict(layer_ids=[]), "one layer"),
        ):
            with self.assertRaisesRegex(TraceError, word):
                TraceWriter(self.path, **{**ABOUT, **about})
        with TraceWriter(self.path, **ABOUT) as trace:
            with self.assertRaisesRegex(TraceError, r"\[2, 1\] a token in a trace of \[2, 2\]"):
                trace.add_step(FIRST[:, :, :1], "decode")
            with self.assertRaisesRegex(TraceError, "without tokens"):
                trace.add_step(FIRST[:0], "decode")
            trace.add_step(FIRST, "decode")


class Shipped(unittest.TestCase):
    def test_the_traces_of_the_project(self):
        found = sorted(
            (pathlib.Path(os.environ["MOEBAL_SOURCE"]) / "workloads/traces").glob("*.h5")
        )
        self.assertTrue(found)
        for path in found:
            self.assertLess(path.stat().st_size, 2_000_000, path)
            status, said = moebal("trace", "verify", path)
            self.assertEqual(status, 0, said)
            self.assertIn("as recorded in the file", said)
            with h5py.File(path) as file:
                load, tokens = file["load"][:].astype(np.int64), file["tokens"][:, 0].astype(int)
                self.assertTrue((load.sum(axis=2) == file.attrs["top_k"] * tokens[:, None]).all())
                self.assertTrue((load <= tokens[:, None, None]).all())
                self.assertIn("licence", file.attrs["source"])


if __name__ == "__main__":
    unittest.main()
