"""Counts routing decisions and writes them as a moebal-trace file, version 1.

Needs numpy and h5py alone, so that decisions from elsewhere can be written without torch.
"""

import os
import pathlib
import tempfile

import h5py
import numpy as np

try:
    import xxhash
except ImportError:  # the digest is optional in the format
    xxhash = None

PHASES = {"prefill": 0, "decode": 1, "mixed": 2, "train": 3}
CHUNK_BYTES = 1 << 20


class TraceError(ValueError):
    """What was given can't be a trace; the message is one line."""


def count_experts(topk, n_experts):
    """How often each expert was chosen: topk int [tokens, L, k] -> uint32 [L, E]."""
    if topk.ndim != 3 or topk.dtype.kind not in "iu":
        raise TraceError(
            f"decisions are whole numbers [tokens, layers, k], not {topk.dtype} {list(topk.shape)}"
        )
    if topk.size and (topk.min() < 0 or topk.max() >= n_experts):
        raise TraceError(
            f"an expert of a decision is {topk.min() if topk.min() < 0 else topk.max()}"
            f", which is not in 0..{n_experts - 1}"
        )
    ordered = np.sort(topk, axis=2)
    if (ordered[:, :, 1:] == ordered[:, :, :-1]).any():
        raise TraceError("a token goes twice to the same expert of a layer")
    n_layers = topk.shape[1]
    flat = topk.astype(np.int64) + n_experts * np.arange(n_layers)[None, :, None]
    counts = np.bincount(flat.ravel(), minlength=n_layers * n_experts)
    return counts.reshape(n_layers, n_experts).astype(np.uint32)


class TraceWriter:
    """Writes a trace step by step, under a temporary name until it is complete.

        with TraceWriter("x.h5", model="...", layer_ids=[1, 2], n_experts=64, ...) as trace:
            trace.add_step(topk, "decode")

    An exception within the block leaves no file behind.
    """

    def __init__(
        self,
        path,
        *,
        model,
        layer_ids,
        n_experts,
        top_k,
        num_groups,
        phase,
        source,
        created_by,
        with_topk=False,
    ):
        if phase not in PHASES:
            raise TraceError(f"phase '{phase}' is none of {', '.join(PHASES)}")
        if not 1 <= top_k <= n_experts or n_experts > 32767:
            raise TraceError(f"top {top_k} of {n_experts} experts")
        if num_groups < 1 or n_experts % num_groups:
            raise TraceError(f"{num_groups} groups don't divide {n_experts} experts")
        if not len(layer_ids):
            raise TraceError("a trace needs at least one layer")
        self.path = pathlib.Path(path)
        self.n_experts, self.top_k, self.with_topk = n_experts, top_k, with_topk
        self.layer_ids = np.asarray(layer_ids, dtype=np.int32)
        self.attributes = {
            "format": "moebal-trace",
            "version": np.int64(1),
            "model": model,
            "top_k": np.int64(top_k),
            "num_groups": np.int64(num_groups),
            "layer_ids": self.layer_ids,
            "phase": phase,
            "source": source,
            "created_by": created_by,
            "padding": "excluded",
            "counts": "logical",
            "steps_per_record": np.int64(1),
        }
        self.digest = xxhash.xxh3_128() if xxhash else None
        self.n_steps = self.n_tokens = 0
        self.loads, self.phases, self.tokens, self.topks = [], [], [], []

    def __enter__(self):
        handle, self.temporary = tempfile.mkstemp(
            prefix=f".{self.path.name}.", dir=self.path.parent
        )
        os.close(handle)
        self.file = h5py.File(self.temporary, "w", track_order=False)
        n_layers = len(self.layer_ids)
        self.chunk = max(1, CHUNK_BYTES // (4 * n_layers * self.n_experts))
        self._dataset("load", (n_layers, self.n_experts), np.uint32, self.chunk)
        self._dataset("step_phase", (), np.uint8, 65536)
        self._dataset("tokens", (1,), np.uint32, 16384)
        if self.with_topk:
            chunk = max(1, CHUNK_BYTES // (2 * n_layers * self.top_k))
            self._dataset("topk", (n_layers, self.top_k), np.int16, chunk)
            self._dataset("topk_source", (), np.uint16, 65536)
            self._dataset("topk_offset", (), np.int64, 65536)
            self._append("topk_offset", [0])
        return self

    def _dataset(self, name, shape, dtype, chunk):
        self.file.create_dataset(
            name,
            (0, *shape),
            dtype,
            maxshape=(None, *shape),
            chunks=(chunk, *shape),
            shuffle=True,
            compression="gzip",
            compression_opts=9,
            track_times=False,
        )

    def _append(self, name, values):
        dataset = self.file[name]
        first = len(dataset)
        dataset.resize(first + len(values), axis=0)
        dataset[first:] = values

    def add_step(self, topk, phase):
        """A step's decisions, int [tokens, L, k]; padding isn't among them. Returns load [L, E]."""
        topk = np.asarray(topk)
        if topk.shape[1:] != (len(self.layer_ids), self.top_k):
            raise TraceError(
                f"decisions of {list(topk.shape[1:])} a token in a trace of "
                f"{[len(self.layer_ids), self.top_k]}"
            )
        if not len(topk):
            raise TraceError("a step without tokens")
        load = count_experts(topk, self.n_experts)
        self.n_steps += 1
        self.n_tokens += len(topk)
        self.loads.append(load)
        self.phases.append(PHASES[phase])
        self.tokens.append([len(topk)])
        if self.with_topk:
            self.topks.append(topk.astype(np.int16))
        if len(self.loads) == self.chunk:
            self._flush()
        return load

    def _flush(self):
        if not self.loads:
            return
        loads = np.stack(self.loads).astype("<u4")
        if self.digest:
            self.digest.update(loads.tobytes())
        self._append("load", loads)
        self._append("step_phase", self.phases)
        self._append("tokens", self.tokens)
        if self.with_topk:
            start = self.file["topk_offset"][-1]
            self._append("topk", np.concatenate(self.topks))
            self._append("topk_source", np.zeros(sum(map(len, self.topks)), np.uint16))
            self._append("topk_offset", start + np.cumsum([len(t) for t in self.topks]))
        self.loads, self.phases, self.tokens, self.topks = [], [], [], []

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self._finish()
        finally:
            self.file.close()
            if os.path.exists(self.temporary):
                os.unlink(self.temporary)

    def _finish(self):
        if not self.n_steps:
            raise TraceError(f"{self.path}: no step was recorded")
        self._flush()
        for name, value in self.attributes.items():
            self.file.attrs[name] = value
        if self.digest:
            self.file.attrs["load_xxh3"] = self.digest.hexdigest()
        self.file.close()
        # mkstemp's mode is its owner's alone, whatever the umask says.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(self.temporary, 0o666 & ~umask)
        os.replace(self.temporary, self.path)
