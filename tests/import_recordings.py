"""Recordings of SGLang, TensorRT-LLM and Megatron-Core, imported, and read back by h5py.

  import_recordings.py [--torch]             runs the program that $MOEBAL names on all of them
  import_recordings.py [--torch] FOLDER      only writes the good ones, for fuzzing: FOLDER/FORMAT

With --torch they are written by torch.save() and safetensors themselves; without, the same by
pickle, zipfile, struct and json, so that nothing has to be installed.
"""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import types
import zipfile

import h5py
import numpy as np

T, L, E, K = 5, 3, 8, 2
REAL = "--torch" in sys.argv
ARGS = [arg for arg in sys.argv[1:] if arg != "--torch"]
STORAGES = {"i4": "IntStorage", "i8": "LongStorage", "i2": "ShortStorage", "u1": "ByteStorage",
            "i1": "CharStorage", "b1": "BoolStorage", "f2": "HalfStorage", "f4": "FloatStorage",
            "f8": "DoubleStorage"}


# --- torch.save(), or what it writes

class PlainTensor:
    def __init__(self, storage, offset, dims, strides):
        self.args = storage, offset, dims, strides

    def __reduce__(self):
        import collections
        import torch
        return (torch._utils._rebuild_tensor_v2,
                (PlainStorage(self.args[0]), *self.args[1:], False, collections.OrderedDict()))


class PlainStorage:
    def __init__(self, array):
        self.array = array


def fake_torch():
    """What a pickle of torch names, without torch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild():
        raise RuntimeError("only its name is needed")
    rebuild.__module__, rebuild.__name__, rebuild.__qualname__ = \
        "torch._utils", "_rebuild_tensor_v2", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    torch._utils = utils
    sys.modules["torch"], sys.modules["torch._utils"] = torch, utils


def view(storage, offset, dims, strides):
    storage = np.ascontiguousarray(storage).reshape(-1)
    if not REAL:
        return PlainTensor(storage, offset, tuple(dims), tuple(strides))
    import torch
    return torch.as_strided(torch.from_numpy(storage.copy()), tuple(dims), tuple(strides), offset)


def tensor(array):
    array = np.asarray(array)
    strides = [int(np.prod(array.shape[d + 1:])) for d in range(array.ndim)]
    return view(array, 0, array.shape, strides)


def plain_save(value, protocol, order, method):
    import torch
    storages, stream = [], io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, PlainStorage):
                return None
            storages.append(obj.array)
            kind = getattr(torch, STORAGES[obj.array.dtype.str[1:]])
            return "storage", kind, str(len(storages) - 1), "cpu", obj.array.size
    Pickler(stream, protocol).dump(value)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", order)
        for i, array in enumerate(storages):
            big = array.dtype.newbyteorder(">" if order == "big" else "<")
            archive.writestr(f"archive/data/{i}", array.astype(big).tobytes())
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def save(value, protocol=2, order="little", method=zipfile.ZIP_STORED):
    if REAL and order == "little" and method == zipfile.ZIP_STORED:
        import torch
        stream = io.BytesIO()
        torch.save(value, stream, pickle_protocol=protocol)
        return stream.getvalue()
    if REAL:
        return None
    return plain_save(value, protocol, order, method)


def safetensors(arrays):
    if REAL:
        import torch
        from safetensors.torch import save as save_all
        return save_all({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(arrays):
        a = arrays[name]
        header[name] = {"dtype": {"i": "I", "f": "F"}[a.dtype.kind] + str(8 * a.itemsize),
                        "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.astype(a.dtype.newbyteorder("<")).tobytes()
    return raw_safetensors(header, data)


def raw_safetensors(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def npz(compress=False, **arrays):
    stream = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(stream, **arrays)
    return stream.getvalue()


# --- what the systems record

RNG = np.random.default_rng(20251124)


def topk_ids(n_tokens, n_slots=E, k=K, n_layers=L):
    """[L,tokens,k]: each token goes to k different slots of each layer."""
    return np.argsort(RNG.random((n_layers, n_tokens, n_slots)), axis=2)[:, :, :k]


def count(ids, n=E):
    return np.stack([np.bincount(layer[layer >= 0], minlength=n) for layer in ids])


def loads(t=T, n_layers=L, n=E):
    return np.stack([count(topk_ids(5 + i, n, n_layers=n_layers), n) for i in range(t)])


def dense(a, n=2, axis=1):
    """Layers without experts in front."""
    shape = list(a.shape)
    shape[axis] = n
    return np.concatenate([np.zeros(shape, a.dtype), a], axis=axis)


def stat(a, **more):
    return {"rank": 0, "logical_count": tensor(a.astype(np.int32)),
            "average_utilization_rate_over_window": None, **more}


SLOTS = 12
MAP = np.array([[(p * 5 + l) % E if p < E else (p + l) % E for p in range(SLOTS)]
                for l in range(L)])


class Claim(np.ndarray):
    """An array that tells torch's storage of more numbers than it has."""
    size = 2**61


def claim(dims, strides):
    if REAL:
        return None
    return PlainTensor(np.zeros(4, np.int32).view(Claim), 0, dims, strides)


def to_logical(physical, slot_map=MAP):
    """[...,L,P] -> [...,L,E]"""
    out = np.zeros((*physical.shape[:-1], E), np.int64)
    for l in range(physical.shape[-2]):
        for p in range(physical.shape[-1]):
            out[..., l, slot_map[l, p]] += physical[..., l, p]
    return out


def recording(records, slot_map=MAP, **save_args):
    return save({"records": records, "last_physical_to_logical_map":
                 tensor(slot_map.astype(np.int64))}, **save_args)


def pass_record(forward_pass, rank, physical, **more):
    return {"forward_pass_id": forward_pass, "rank": rank, "gatherer_key": "primary", **more,
            "global_physical_count": tensor(physical.astype(np.int32))}


def per_pass(physical, first=5, slot_map=MAP, **save_args):
    """[T,R,L,P] -> a file a rank"""
    return [recording([pass_record(first + t, r, physical[t, r]) for t in range(len(physical))],
                      slot_map, **save_args) for r in range(physical.shape[1])]


def token_record(forward_pass, rank, ids, lengths):
    wide = np.full((L, ids.shape[1], 8), -1, np.int32)
    wide[:, :, :K] = ids
    return pass_record(forward_pass, rank, count(ids, SLOTS), input_ids=list(range(ids.shape[1])),
                       positions=list(range(ids.shape[1])), extend_seq_lens=lengths,
                       forward_mode=1 if lengths else 2, topk_ids_of_layer=tensor(wide),
                       misc_objects=[])


def statistics(by_rank, first=100, layers=(3, 4, 5), tokens=False, **meta):
    """[T,R,L,E] -> a folder"""
    files = {"meta_info.json": json.dumps({"num_experts": E, "num_experts_per_token": K,
                                           **meta}).encode()}
    for r in range(by_rank.shape[1]):
        arrays = {f"{first + t}_{layer}": by_rank[t, r, l].astype(np.int64)
                  for t in range(len(by_rank)) for l, layer in enumerate(layers)}
        files[f"rank{r}.safetensors"] = safetensors(arrays)
        files[f"cooccurrence_rank{r}.safetensors"] = b"anything"
        if tokens:
            files[f"rank{r}_numtokens.json"] = json.dumps(
                {name: int(a.sum()) // K for name, a in arrays.items()}).encode()
    return files


def dump(rank, group, a, counts=None, layers=(4, 5, 6), seconds=0, **change):
    """[L,F,P] of one rank -> name and array values of its file"""
    capture = f"20251124_1359{seconds:02}_pid{1000 + rank}"
    return {"dump_version": np.asarray("mcore_ep_load_dump_v1"),
            "capture_id": np.asarray(capture), "loads": a.astype(np.int32),
            "layer_numbers": np.asarray(layers, np.int32),
            "forward_counts": np.asarray([a.shape[1]] * L if counts is None else counts, np.int32),
            "ep_group_ranks": np.asarray(group, np.int32), "ep_rank": np.int32(group.index(rank)),
            "ep_size": np.int32(len(group)), "global_rank": np.int32(rank),
            "num_global_physical_experts": np.int32(a.shape[2]),
            "num_local_physical_experts": np.int32(a.shape[2] // len(group)), **change}


def dump_name(rank, partial=False):
    return f"mcore_ep_loads_rank{rank}_20251124_135900_pid{1000 + rank}" + \
        ("_partial" if partial else "") + ".npz"


def dumps(by_rank, group, compress=False, partial=False, **more):
    """[T,R,L,E] -> files"""
    return {dump_name(rank, partial): npz(compress, **dump(rank, group, by_rank[:, r].swapaxes(0, 1),
                                                           **more))
            for r, rank in enumerate(group)}


# --- what is right

class Case:
    """Files, in a folder if there is a "folder/" in front; what is expected of the trace."""

    def __init__(self, format, name, files, expected, *args, layer_ids=(0, 1, 2), says=(),
                 sources=None, tokens=None, attrs=None, inputs=None, told=("--top-k", "2",
                                                                          "--phase", "decode")):
        self.format, self.name, self.files, self.expected = format, name, files, expected
        self.args, self.layer_ids, self.says = [*told, *args], list(layer_ids), says
        self.sources, self.tokens, self.attrs = sources, tokens, attrs or {}
        self.inputs = inputs or list(files)


def numbered(contents):
    return {f"recorder_{i}.pt": content for i, content in enumerate(contents)}


def stat_cases():
    a = loads()
    two = np.zeros((2, L, E), np.int64)
    yield "first", stat(np.concatenate([a, two])), a, {}, ["2 of the 7 rows of its buffer"]
    yield "dense", stat(dense(a)), a, {"layer_ids": (2, 3, 4)}, \
        ["layers 0, 1 have no load in any step: taken as dense", "is circular"]
    yield "wrapped", stat(np.concatenate([a[:2], two, a[2:]])), a, {}, ["is circular"]
    yield "late", stat(np.concatenate([two, a])), a, {}, ["2 of the 7 rows", "is circular",
                                                          "has summed all ranks"]
    yield "rate", stat(a, average_utilization_rate_over_window=0.75), a, {}, []
    for dtype in STORAGES:
        b = (a % 2 if dtype == "b1" else a).astype(dtype)
        yield dtype, {"logical_count": tensor(b)}, b, {}, []
    padded = np.concatenate([np.full(7, 99), a.astype(np.int64).reshape(-1), np.full(3, 99)])
    yield "offset", {"logical_count": view(padded, 7, a.shape, (L * E, E, 1))}, a, {}, []
    turned = np.ascontiguousarray(a.transpose(2, 0, 1))
    yield "turned", {"logical_count": view(turned, 0, a.shape, (L, 1, T * L))}, a, {}, []
    every = np.zeros((T, 2, L, E), np.int32)
    every[:, 0], every[:, 1] = a, 77
    yield "strided", {"logical_count": view(every, 0, a.shape, (2 * L * E, E, 1))}, a, {}, []


def sglang_cases():
    for name, value, expected, more, says in stat_cases():
        yield Case("sglang", f"stat-{name}", {"r.pt": save(value)}, expected, says=says, **more)
    a, b = loads(), loads(3)
    for protocol in 3, 4, 5:
        yield Case("sglang", f"protocol-{protocol}", {"r.pt": save(stat(a), protocol)}, a)
    yield Case("sglang", "big-endian", {"r.pt": save(stat(a), order="big")}, a)
    yield Case("sglang", "deflated", {"r.pt": save(stat(a), method=zipfile.ZIP_DEFLATED)}, a)
    yield Case("sglang", "stats", numbered([save(stat(a)), save(stat(b))]), np.concatenate([a, b]))
    long = loads(300)
    yield Case("sglang", "long", {"r.pt": save(stat(long))}, long)
    yield from rank_cases()
    yield from token_cases()


def rank_cases():
    p = np.stack([loads(T, n=SLOTS) for _ in range(3)], axis=1)
    e = to_logical(p)
    attrs = {"counts": "from_physical", "source_semantics": "attention_dp"}
    yield Case("sglang", "ranks", numbered(per_pass(p)), e.sum(1), attrs=attrs,
               says=["mapped to experts by the last map", "3 ranks are taken to count tokens of"])
    yield Case("sglang", "ranks-kept", numbered(per_pass(p, protocol=4)[::-1]), e.sum(1),
               "--keep-sources", sources=e.swapaxes(1, 2))
    same = np.repeat(p[:, :1], 3, axis=1)
    yield Case("sglang", "ranks-same", numbered(per_pass(same)), e[:, 0], "--source-semantics",
               "attention_tp", attrs={"source_semantics": "attention_tp"})
    yield Case("sglang", "ranks-maybe", numbered(per_pass(same)), 3 * e[:, 0],
               says=["if they saw the same tokens"])
    own = np.zeros_like(p)
    for r in range(3):
        own[:, r, :, 4 * r:4 * r + 4] = p[:, :, :, 4 * r:4 * r + 4].sum(1)
    yield Case("sglang", "received", numbered(per_pass(own)), e.sum(1),
               says=["what its own slots received, as with DeepEP"])
    yield Case("sglang", "dumps", numbered(per_pass(p) + per_pass(p[:2], first=20)),
               np.concatenate([e, e[:2]]).sum(1), says=["forward passes 10 to 19 are missing"])
    yield Case("sglang", "one-rank", numbered(per_pass(p[:, :1])), e[:, 0])
    wide = np.stack([dense(p[:, r]) for r in range(3)], axis=1)
    wide_map = np.concatenate([np.tile(np.arange(SLOTS) % E, (2, 1)), MAP])
    yield Case("sglang", "ranks-dense", numbered(per_pass(wide, slot_map=wide_map)), e.sum(1),
               layer_ids=(2, 3, 4))


def token_cases():
    ids = [[topk_ids(n, SLOTS) for n in (6, 4)], [topk_ids(3, SLOTS), topk_ids(2, SLOTS)]]
    ids[1][1][:, 1] = -1  # padding: no expert in any layer
    physical = np.stack([np.stack([count(i, SLOTS) for i in step]) for step in ids])
    e = to_logical(physical)

    def ranks(lengths):
        return numbered(recording([token_record(7 + t, r, ids[t][r], lengths[t])
                                   for t in range(2)]) for r in range(2))
    for name, lengths in {"mixed": ([4, 2], None), "prefill": ([6], [2, 2]),
                          "decode": (None, None)}.items():
        yield Case("sglang", f"tokens-{name}", ranks(lengths), e.sum(1), "--keep-sources", told=(),
                   sources=e.swapaxes(1, 2), tokens=np.array([[6, 4], [3, 1]]),
                   attrs={"phase": name, "top_k": K})


def trtllm_cases():
    a = np.stack([loads(), loads()], axis=1)
    more = {"inputs": ["."], "told": (), "layer_ids": (3, 4, 5)}
    yield Case("trtllm", "ranks", statistics(a), a.sum(1), **more, attrs={"top_k": K},
               says=["iterations 100 to 104", "2 ranks are taken"])
    yield Case("trtllm", "kept", statistics(a, ep_size=2, experts_per_rank=4), a.sum(1),
               "--keep-sources", **more, sources=a.swapaxes(1, 2), attrs={"counts": "logical"})
    yield Case("trtllm", "tokens", statistics(a, tokens=True), a.sum(1), "--keep-sources", **more,
               sources=a.swapaxes(1, 2), tokens=np.array([[5 + t] * 2 for t in range(T)]))
    some = statistics(a, tokens=True)
    del some["rank1_numtokens.json"]
    yield Case("trtllm", "some-tokens", some, a.sum(1), **more, says=["tokens are left out"])
    yield Case("trtllm", "same", statistics(np.repeat(a[:, :1], 2, axis=1)), a[:, 0],
               "--source-semantics", "attention_tp", **more)
    yield Case("trtllm", "from-0", statistics(a[:, :1], first=8), a[:, 0], **more)
    many = np.stack([loads(2) for _ in range(12)], axis=1)
    yield Case("trtllm", "many", statistics(many, first=9), many.sum(1), **more)


def mcore_cases():
    a = np.stack([loads() for _ in range(4)], axis=1)
    more = {"told": ("--top-k", "2"), "layer_ids": (3, 4, 5)}
    files = dumps(a, [4, 5, 6, 7])
    train = {"phase": "train", "source_semantics": "attention_dp", "steps_per_record": 1}
    yield Case("mcore", "folder", files, a.sum(1), inputs=["."], **more, attrs=train)
    yield Case("mcore", "kept", files, a.sum(1), "--keep-sources", inputs=list(files)[::-1], **more,
               sources=a.swapaxes(1, 2))
    yield Case("mcore", "deflated", dumps(a, [0, 2, 4, 6], compress=True), a.sum(1), **more)
    yield Case("mcore", "partial", dumps(a, [0, 1, 2, 3], partial=True, counts=[5, 4, 4]),
               a.sum(1)[:4], **more, says=["4 of 4 dumps are partial", "4 to 5 forward passes"])
    fortran = {dump_name(0): npz(**dump(0, [0], np.asfortranarray(a[:, 0].swapaxes(0, 1))))}
    yield Case("mcore", "fortran", fortran, a[:, 0], **more)
    other = dumps(a[:, :2], [0, 1])
    both = {**dumps(a[:, 2:], [2, 3]), **other}
    yield Case("mcore", "one-of-two", both, a[:, :2].sum(1), inputs=list(other), **more)


def good_cases():
    cases = [*sglang_cases(), *trtllm_cases(), *mcore_cases()]
    return [case for case in cases if None not in case.files.values()]


# --- what is wrong: name, format, files, what is said, arguments

class Reduce:
    """Asks a pickle's reader to call something."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Build:
    def __init__(self):
        self.x = 1


def bad_pickles():
    a = loads(1)

    def one(value, **args):
        return {"r.pt": save(value, **args)}
    for protocol in 2, 4:
        yield "system", one(stat(a, x=Reduce(os.system, "touch pwned")), protocol=protocol), \
            "asks for posix.system, but only plain containers"
    yield "eval", one(stat(a, x=Reduce(eval, "open('pwned', 'w')"))), "eval, but only plain"
    yield "class", one(stat(a, x=Build())), "Build"
    yield "set", one(stat(a, x={1, 2})), "asks for"
    yield "long", one(stat(a, x=2**70)), "an int of 9 bytes"
    yield "complex", one(stat(a, x=1j)), "complex"


def bad_stats():
    a = loads()

    def one(value):
        return {"r.pt": save(value)}

    def changed(at, value, dtype=np.int32):
        b = a.astype(dtype)
        b[at] = value
        return one({"logical_count": tensor(b)})
    yield "negative", changed((2, 1, 3), -1), "logical_count[2,1,3]: is -1, and should be"
    yield "half", changed((4, 2, 7), 0.5, np.float32), "logical_count[4,2,7]: is 0.5"
    yield "large", changed((4, 2, 7), 2**32, np.int64), "is 4294967296"
    yield "none", one(stat(np.zeros((T, L, E)))), "has no load in any of 5 steps"
    yield "empty", one(stat(a[:0])), "has no load in any of 0 steps"
    yield "rank", one(stat(a[0])), '"logical_count" should be a tensor [steps,layers,experts]'
    yield "list", one({"logical_count": a.tolist()}), "should be a tensor"
    yield "tensor", one(tensor(a)), "holds a tensor, and should hold what SGLang's"
    yield "other", one({"model": tensor(a)}), "holds a dict, and should hold what SGLang's"
    yield "sizes", numbered([save(stat(a)), save(stat(a[:, :2]))]), "has 2 layers of 8 experts"
    steps = claim((2**61 - 1, 1, 1), (1, 1, 1))
    if steps is not None:
        yield "claim", numbered([save({"logical_count": steps})] * 8), \
            "logical_count: its storage has 16 bytes, and should have 2305843009213693952 numbers"
    cut = save(stat(a))
    yield "cut", {"r.pt": cut[:-40]}, "no zip archive, or was cut off"
    at = cut.index(a.astype(np.int32).tobytes())
    yield "flipped", {"r.pt": cut[:at] + b"\x55" + cut[at + 1:]}, "CRC"


def bad_records():
    p = np.stack([loads(T, n=SLOTS) for _ in range(3)], axis=1)
    files = per_pass(p)

    def changed(at, key, value):
        records = [pass_record(5 + t, 0, p[t, 0]) for t in range(T)]
        records[at][key] = value
        return {"r.pt": recording(records)}
    yield "missing", numbered([files[0], files[2]]), "not of rank 1: give the files of all ranks"
    yield "first", numbered(files[1:]), "not of rank 0"
    yield "twice", numbered([files[0], files[1], files[0]]), "and so is records[0]"
    yield "short", numbered([files[0], per_pass(p[:4])[1]]), "forward pass 9 is there of rank 0"
    moved = per_pass(p, slot_map=(MAP + 1) % E)
    yield "moved", numbered([files[0], moved[1], files[2]]), "experts were moved"
    yield "gap", changed(3, "forward_pass_id", 9), "forward_pass_id is 9, and should be 8"
    yield "key", changed(3, "gatherer_key", "child_a"), '"gatherer_key" should be "primary"'
    yield "pass", changed(3, "forward_pass_id", None), '"forward_pass_id" should be a whole'
    yield "counts", changed(3, "global_physical_count", tensor(p[0, 0, :, :-1])), \
        'records[3]: "global_physical_count" should be'
    yield "negative", changed(3, "global_physical_count", tensor(p[0, 0] - 9)), \
        "records[3]: global_physical_count[0,"
    yield "hole", numbered(per_pass(p, slot_map=np.where(MAP == 3, 4, MAP))), "no slot with expert 3"
    yield "slot", numbered(per_pass(p, slot_map=np.where(MAP == 3, 77, MAP))), "is expert 77"
    yield "empty", {"r.pt": recording([])}, '"records" should be a list'
    yield "modes", numbered([save(stat(loads())), files[1]]), "is of mode per_pass"
    own = np.zeros_like(p)
    for r in range(3):
        own[:, r, :, 4 * r:4 * r + 4] = 1
    yield "received", numbered(per_pass(own)), "import without --keep-sources", "--keep-sources"
    yield "received-tp", numbered(per_pass(own)), "import without --source-semantics", \
        "--source-semantics", "attention_tp"
    one = topk_ids(4, SLOTS, n_layers=1).astype(np.int32)
    wide = claim((1, 2**30, 2**31), (2**61, 2**31, 1))  # whose bytes are 2^64
    if wide is not None:
        records = [pass_record(t, 0, count(one, SLOTS), topk_ids_of_layer=ids, extend_seq_lens=None)
                   for t, ids in enumerate((tensor(one), wide))]
        yield "claim", {"r.pt": recording(records, MAP[:1])}, \
            "records[1]: topk_ids_of_layer: its storage has 16 bytes"
    ids = topk_ids(4, SLOTS)
    ids[1, 2, 0] = SLOTS
    yield "token", {"r.pt": recording([token_record(0, 0, ids % SLOTS, None), {
        **token_record(1, 0, ids % SLOTS, None), "topk_ids_of_layer": tensor(ids)}])}, \
        "records[1]: topk_ids_of_layer[1,2,0]: is 12"


def bad_trtllm():
    a = np.stack([loads(), loads()], axis=1)

    def changed(name, content):
        files = statistics(a)
        if content is None:
            del files[name]
        else:
            files[name] = content
        return files

    def rank1(change):
        arrays = {f"{100 + t}_{3 + l}": a[t, 1, l].astype(np.int64)
                  for t in range(T) for l in range(L)}
        change(arrays)
        return changed("rank1.safetensors", safetensors(arrays))
    yield "no-meta", changed("meta_info.json", None), "meta_info.json: cannot be read"
    yield "meta", changed("meta_info.json", b"{"), "is no JSON object"
    yield "experts", changed("meta_info.json", b'{"num_experts": -8}'), "num_experts should be"
    yield "missing", changed("rank0.safetensors", None), "rank0.safetensors is missing, and"
    yield "ep-size", statistics(a, ep_size=3), "has 2 files rank*.safetensors, and should have 3"
    yield "gap", rank1(lambda d: [d.pop(f"102_{l}") for l in (3, 4, 5)]), \
        "rank1.safetensors: iteration 102 is missing, and the next one is 103"
    yield "layer", rank1(lambda d: d.pop("102_4")), "iteration 102 has no layer 4, which rank 0 has"
    yield "more", rank1(lambda d: d.update({"102_9": d["102_4"]})), "iteration 102 has layer 9"
    yield "later", rank1(lambda d: d.update({"105_3": d["102_4"]})), "rank 0 ends with 104"
    yield "short", rank1(lambda d: [d.pop(f"104_{l}") for l in (3, 4, 5)]), \
        "iteration 104 has no layer 3, which rank 0 has"
    yield "dtype", rank1(lambda d: d.update({"102_4": d["102_4"].astype(np.int32)})), \
        "is int32 of 1 dimensions with 32 bytes, and should be int64 [8]"
    yield "size", rank1(lambda d: d.update({"102_4": d["102_4"][:7]})), "should be int64 [8]"
    yield "negative", rank1(lambda d: d["102_4"].__setitem__(3, -2)), 'tensor "102_4"[3]: is -2'
    yield "name", rank1(lambda d: d.update({"None_4": d["102_4"]})), "named ITERATION_LAYER"
    tokens = statistics(a, tokens=True)
    tokens["rank1_numtokens.json"] = tokens["rank1_numtokens.json"].replace(b": 7", b": 6")
    yield "tokens", tokens, "pairs, and should have 12 for 6 tokens"
    tokens = statistics(a, tokens=True)
    tokens["rank1_numtokens.json"] = b'{"100_3": 5}'
    yield "few-tokens", tokens, "has 1 numbers of tokens"
    good = safetensors({"100_3": a[0, 0, 0]})
    header = {"100_3": {"dtype": "I64", "shape": [8], "data_offsets": [0, 64]},
              "100_4": {"dtype": "I64", "shape": [8], "data_offsets": [32, 96]}}
    for name, content, text in (
            ("cut", good[:-1], "was cut off"), ("header-cut", good[:20], "within its header"),
            ("short-file", good[:5], "ends after 5 bytes"),
            ("huge-header", struct.pack("<Q", 1 << 60) + good[8:], "at most 100000000"),
            ("json", raw_safetensors(b"[1]", b""), "is no JSON object"),
            ("overlap", raw_safetensors(header, bytes(96)), "its data begins at byte"),
            ("behind", good + bytes(8), "has 8 bytes behind its last tensor"),
            ("f8", raw_safetensors({"100_3": {"dtype": "F8_E5M2", "shape": [8],
                                              "data_offsets": [0, 8]}}, bytes(8)),
             'has dtype "F8_E5M2", and should have one of')):
        yield name, changed("rank1.safetensors", content), text
    yield "file", {"meta_info.json": b"{}"}, "is a file, and should be the folder", \
        "--format", "trtllm", "meta_info.json"


def bad_mcore():
    a = np.stack([loads() for _ in range(4)], axis=1)
    group = [4, 5, 6, 7]
    files = dumps(a, group)

    def changed(rank, **change):
        changed_files = dict(files)
        array = dump(rank, group, a[:, rank - 4].swapaxes(0, 1))
        changed_files[dump_name(rank)] = npz(**{**array, **change})
        return changed_files
    missing = dict(files)
    del missing[dump_name(6)]
    yield "missing", missing, "rank 6 of it is missing"
    yield "twice", {**files, dump_name(5, True): files[dump_name(5)]}, "give the files of one run"
    yield "groups", {**files, **dumps(a, [0, 1, 2, 3])}, "each group is balanced on its own"
    yield "capture", changed(5, capture_id=np.asarray("20251124_190000_pid7")), \
        "they began 18060 s apart"
    yield "layers", changed(5, layer_numbers=np.array([4, 5, 7])), "layer_numbers[2] is 7, and should be 6"
    yield "order", changed(5, layer_numbers=np.array([4, 6, 5])), "from 1 on and ascend"
    yield "version", changed(5, dump_version=np.asarray("v2")), 'is "v2"'
    yield "experts", changed(5, num_local_physical_experts=np.int32(3)), "should be 4 times num_local_physical_experts 3"
    yield "ep-rank", changed(5, ep_rank=np.int32(2)), "does not have it there"
    yield "counts", changed(5, forward_counts=np.array([5, 5, 6])), "should be 0 to 5"
    yield "none", changed(5, forward_counts=np.array([5, 5, 0])), "without any forward pass"
    yield "shape", changed(5, loads=a[:, 1]), "should have dimensions [layers,forwards,experts]"
    loads_of_5 = a[:, 1].swapaxes(0, 1).astype(np.int32)
    loads_of_5[2, 3, 4] = -5
    yield "negative", changed(5, loads=loads_of_5), "[2,3,4] is -5"
    yield "half", changed(5, loads=0 * loads_of_5 + 0.5), "[0,0,0] is 0.5, but should be"
    lacking = dict(files)
    array = dump(5, group, a[:, 1].swapaxes(0, 1))
    del array["ep_rank"]
    lacking[dump_name(5)] = npz(**array)
    yield "array", lacking, "has no array ep_rank"
    yield "cut", {**files, dump_name(5): files[dump_name(5)][:-30]}, "was cut off"


def bad_cases():
    for kind, cases in {"pickle": bad_pickles(), "stat": bad_stats(),
                        "records": bad_records()}.items():
        for name, files, text, *args in cases:
            yield f"{kind}-{name}", list(files), files, text, args
    for kind, cases in {"trtllm": bad_trtllm(), "mcore": bad_mcore()}.items():
        for name, files, text, *args in cases:
            inputs = [] if args and args[-1] in files else ["."]
            yield f"{kind}-{name}", inputs, files, text, args or ["--format", kind]


# --- running them

def fail(what, result):
    sys.exit(f"{what}\n{result.stdout}{result.stderr}")


def moebal(inputs, files, *args):
    """In a folder of its own, "rec"; the trace goes beside it."""
    os.mkdir("rec")
    for name, content in files.items():
        with open(os.path.join("rec", name), "wb") as file:
            file.write(content)
    before = sorted(os.listdir("rec"))
    result = subprocess.run([os.environ["MOEBAL"], "trace", "import", *inputs, "-o", "../out.h5",
                             *args], text=True, capture_output=True, check=False, cwd="rec")
    if sorted(os.listdir("rec")) != before:
        fail(f"left behind: {os.listdir('rec')}", result)
    for name in before:
        os.remove(os.path.join("rec", name))
    os.rmdir("rec")
    return result


def check_attrs(what, case, result, attrs):
    wanted = {"layer_ids": case.layer_ids, **case.attrs}
    for name, value in wanted.items():
        found = attrs[name]
        found = found.decode() if isinstance(found, bytes) else found
        if list(np.atleast_1d(found)) != list(np.atleast_1d(value)):
            fail(f"{what}: attribute {name} is {found}, not {value}", result)


def check_good(case):
    result = moebal(case.inputs, case.files, *case.args)
    what = f"{case.format} {case.name}"
    if result.returncode != 0 or result.stderr:
        fail(f"{what}: exit status {result.returncode}", result)
    for text in [f"format: {case.format}, recognised by content", *case.says]:
        if text not in result.stdout:
            fail(f"{what}: does not say '{text}'", result)
    with h5py.File("out.h5") as f:
        for name, expected in {"load": case.expected, "load_by_source": case.sources,
                               "tokens": case.tokens}.items():
            if expected is None:
                if name in f:
                    fail(f"{what}: has {name}", result)
            elif f[name].shape != expected.shape or (f[name][:] != expected).any():
                fail(f"{what}: another {name}", result)
        check_attrs(what, case, result, f.attrs)
    os.remove("out.h5")


def check_bad(what, inputs, files, text, args):
    result = moebal(inputs, files, *args, "--top-k", "2")
    if result.returncode != 1 or result.stdout or result.stderr.count("\n") != 1:
        fail(f"{what}: exit status {result.returncode}, or not one line", result)
    if text not in result.stderr:
        fail(f"{what}: not '{text}'", result)
    if os.listdir("."):
        sys.exit(f"{what}: left behind: {os.listdir('.')}")


def write_corpus(folder):
    """A file a case: the only input, or several behind lines that tests/fuzz/fuzz_import.c knows."""
    for case in good_cases():
        content = b"--folder\n" if case.inputs == ["."] else b""
        for name in case.files if case.inputs == ["."] else case.inputs:
            content += f"--file {name}\n".encode() + case.files[name]
        if len(case.files) == 1 and case.inputs != ["."]:
            content = case.files[case.inputs[0]]
        if len(content) <= 16384:
            os.makedirs(os.path.join(folder, case.format), exist_ok=True)
            with open(os.path.join(folder, case.format, case.name), "wb") as file:
                file.write(content)
        if case.format == "sglang":
            os.makedirs(os.path.join(folder, "unpickle"), exist_ok=True)
            with zipfile.ZipFile(io.BytesIO(case.files[case.inputs[0]])) as archive:
                name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
                with open(os.path.join(folder, "unpickle", case.name), "wb") as file:
                    file.write(archive.read(name))


def main():
    if not REAL:
        fake_torch()
    if ARGS:
        write_corpus(ARGS[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        n_good = n_bad = 0
        for case in good_cases():
            check_good(case)
            n_good += 1
        for what, inputs, files, text, args in bad_cases():
            check_bad(what, inputs, files, text, args)
            n_bad += 1
        os.chdir("/")
    print(f"{'by torch' if REAL else 'without torch'}: {n_good} recordings imported and read back, {n_bad} refused")


main()
