"""What adrs, vllm and tokens are imported from, as Python's json and numpy write it.

  MOEBAL=... import_json.py      imports all of it, and compares with what numpy makes of it
  import_json.py FOLDER          only writes small ones, for fuzzing: FOLDER/FORMAT/NAME
"""

import io
import json
import os
import resource
import subprocess
import sys
import tempfile

import h5py
import numpy as np

rng = np.random.default_rng(7)


def run(*arguments):
    return subprocess.run(
        [os.environ["MOEBAL"], "trace", "import", *arguments],
        capture_output=True, text=True, check=False,
    )


def imported(*arguments):
    """The trace that an import makes, and what it printed."""
    if os.path.exists("t.h5"):
        os.remove("t.h5")
    done = run(*arguments, "-o", "t.h5")
    assert done.returncode == 0, (arguments, done.stderr)
    with h5py.File("t.h5") as trace:
        made = {name: trace[name][:] for name in trace if name != "topk"}
        for name, value in trace.attrs.items():
            made[name] = value.decode() if isinstance(value, bytes) else value
    return made, done.stdout


def refused(text, *arguments):
    done = run(*arguments, "-o", "bad.h5")
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 1 and text in lines[0], (text, done)
    assert not os.path.exists("bad.h5")


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def check_adrs():
    loads = rng.integers(0, 5000, (6, 4, 16))

    def text(part, convert=int, **style):
        records = [
            {"logical_expert_load": [[convert(x) for x in row] for row in step], "é": "ü"}
            for step in part
        ]
        return json.dumps({"load_history": records, "other": {"a": [1.5, None]}}, **style)

    first = write("first.json", text(loads[:4]))
    second = write("second.json", text(loads[4:], float, indent=2, ensure_ascii=False))
    made, said = imported(first, second, "--top-k", "2", "--phase", "decode")
    assert "format: adrs, recognised by content" in said, said
    assert (made["load"] == loads).all()
    bad = loads.astype(float)
    bad[1, 2, 3] = np.nan
    refused(
        "load_history[1].logical_expert_load[2][3]: NaN",
        write("bad.json", text(bad, float)), "--top-k", "2",
    )
    bad[1, 2, 3] = 0.5
    refused(
        "load_history[1].logical_expert_load[2][3]: is 0.5",
        write("bad.json", text(bad, float)), "--top-k", "2",
    )
    refused("was cut off", write("bad.json", text(loads)[:-30]), "--top-k", "2")


def check_memory():
    """Memory does not grow with the file."""
    peaks = []
    for n in (20, 600):
        step = rng.integers(0, 5000, (58, 256)).tolist()
        with open("big.json", "w", encoding="utf-8") as file:
            file.write('{"load_history": [')
            for t in range(n):
                file.write(", " if t else "")
                json.dump({"logical_expert_load": step}, file)
            file.write("]}")
        imported("big.json", "--top-k", "8", "--phase", "decode")
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    size = os.path.getsize("big.json") >> 20
    print(f"adrs: peak {peaks[0] >> 10} MiB, and {peaks[1] >> 10} MiB for a file of {size} MiB")
    assert peaks[1] - peaks[0] < 12 << 10, peaks
    os.remove("big.json")


def check_snapshots():
    layers, slots, experts = 3, 12, 10
    header = {
        "model_name": "toy", "world_size": 4, "num_moe_layers": layers,
        "num_physical_experts": slots, "num_logical_experts": experts,
        "num_redundant_experts": slots - experts, "window_size": 5,
    }
    snapshots, latest, window = [], [], []
    for step in (10, 20, 30, 50):
        slot_map = np.array(
            [rng.permutation(np.r_[np.arange(experts), [0, 1]]) for _ in range(layers)]
        )
        both = {}
        for name, sums in (("latest_expert_load", latest), ("window_expert_load", window)):
            load = rng.integers(0, 900, (layers, slots))
            both[name] = load.tolist()
            logical = np.zeros((layers, experts), np.int64)
            for l in range(layers):
                np.add.at(logical[l], slot_map[l], load[l])
            sums.append(logical)
        snapshots.append({"step": step, **both, "physical_to_logical_map": slot_map.tolist()})
    write("object.json", json.dumps({"snapshots": snapshots, **header}))
    write("lines.jsonl", "".join(json.dumps({**header, **s}) + "\n" for s in snapshots))
    for name in ("object.json", "lines.jsonl"):
        made, said = imported(name, "--top-k", "2", "--phase", "decode")
        assert "format: vllm, recognised by content" in said and "10 to 20" in said, said
        assert (made["load"] == latest).all() and made["counts"] == "from_physical"
        made, said = imported(
            name, "--top-k", "2", "--phase", "decode", "--dataset", "window"
        )
        assert (made["load"] == window).all() and made["steps_per_record"] == 5
    made, _ = imported("object.json", "lines.jsonl", "--top-k", "2", "--phase", "decode")
    assert (made["load"] == latest + latest).all()
    refused("window", "object.json", "--top-k", "2", "--dataset", "sum")
    refused(
        "--shuffle: object.json holds snapshots of loads, not requests",
        "object.json", "--top-k", "2", "--shuffle", "1", "--concurrency", "8",
    )


def make_requests(n, layers, experts, k, mean, prompts):
    """[(prompt tokens, experts [tokens, layers, k])]"""
    made = []
    for _ in range(n):
        prompt = int(rng.integers(1, 3 * mean)) if prompts else 0
        length = prompt + int(rng.integers(1, 2 * mean))
        chosen = np.argsort(rng.random((length, layers, experts)), axis=2)[:, :, :k]
        made.append((prompt, chosen))
    return made


def serve(requests, experts, concurrency, ranks, room):
    """Continuous batching as serving.h has it, in plain words: [T,L,R,E], [T,R]."""
    layers = requests[0][1].shape[1]
    waiting = [[prompt, chosen, 0, i % ranks] for i, (prompt, chosen) in enumerate(requests)]
    running, loads, tokens = [], [], []
    while True:
        before = len(running)
        running = [r for r in running if r[2] < len(r[1])]
        while waiting and len(running) < concurrency:
            running.append(waiting.pop(0))
        if not waiting and len(running) < before:
            return np.array(loads), np.array(tokens)
        budget = (room or 10**9) - sum(r[2] >= r[0] for r in running)
        load = np.zeros((layers, ranks, experts), np.int64)
        count = np.zeros(ranks, np.int64)
        for r in running:
            n = 1 if r[2] >= r[0] else min(r[0] - r[2], budget)
            budget -= n if r[2] < r[0] else 0
            for token in r[1][r[2] : r[2] + n]:
                for l in range(layers):
                    load[l, r[3], token[l]] += 1
            count[r[3]] += n
            r[2] += n
        loads.append(load)
        tokens.append(count)


def check_npz():
    requests = make_requests(30, 4, 16, 3, 12, True)
    names = []
    for i, (prompt, chosen) in enumerate(requests):
        # The first layer has no experts, and half of the dumps have a row for the last token.
        rows = np.concatenate([np.zeros_like(chosen[:, :1]), chosen], axis=1)
        names.append(f"request_{i:03}.npz")
        np.savez(
            names[-1], request_id=np.array(f"r{i}"), prompt_token_ids=np.arange(prompt),
            output_token_ids=np.arange(len(chosen) - prompt + i % 2),
            routed_experts=rows.astype(np.int16 if i % 3 else np.int64),
        )
    load, tokens = serve(requests, 16, 6, 2, 16)
    made, said = imported(
        *names, "--concurrency", "6", "--dp-ranks", "2", "--tokens-per-step", "16",
        "--warm-up", "0", "--keep-sources",
    )
    assert "format: vllm, recognised by content" in said, said
    assert "1 of 5 layers have zeros only" in said, said
    assert "16 tokens a step" in said and "not recorded" not in said, said
    assert made["layer_ids"].tolist() == [1, 2, 3, 4] and made["top_k"] == 3
    assert (made["load_by_source"] == load).all() and (made["tokens"] == tokens).all()
    made, _ = imported(*names, "--concurrency", "6", "--tokens-per-step", "16")
    os.mkdir("requests")
    for name in names:
        os.link(name, os.path.join("requests", name))
    from_folder, said = imported("requests", "--concurrency", "6", "--tokens-per-step", "16")
    assert "format: vllm, recognised by content" in said, said
    assert (from_folder["load"] == made["load"]).all()
    os.mkdir("empty")
    refused("has no .npz file", "empty", "--format", "vllm")
    lifetime = [len(c) - p + -(-p // 16) for p, c in requests]
    assert (made["load"] == load.sum(axis=2)[round(np.mean(lifetime)) :]).all()
    refused("is given twice", names[0], names[0], "--concurrency", "1")
    one = np.stack([np.zeros(4, int), np.arange(4) % 3], axis=1)[:, :, None]
    np.savez("one.npz", routed_experts=one)
    made, said = imported("one.npz", "--concurrency", "1", "--warm-up", "0")
    assert "in 1 of 2 layers the first request goes to expert 0 only" in said, said
    assert (made["load"] == np.eye(3, dtype=int)[one[:, :, 0]]).all(), made["load"]
    np.savez("bad.npz", routed_experts=np.full((3, 5, 3), 2))
    refused("expert 2 is chosen twice", "bad.npz", "--concurrency", "1")
    np.savez("bad.npz", routed_experts=np.arange(12).reshape(2, 2, 3), prompt_token_ids=np.arange(3))
    refused("has 2 tokens", "bad.npz", "--concurrency", "1")


def check_balance():
    requests = make_requests(300, 3, 32, 4, 30, False)
    lines = [
        {
            "layer": l, "batch_id": i, "origin_rows": [0] * len(chosen),
            "topk_experts": chosen[:, l].tolist(), "request_id": i, "source_file": "x.npz",
        }
        for i, (_, chosen) in enumerate(requests)
        for l in range(3)
    ]
    write("balance.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    load, tokens = serve(requests, 32, 64, 1, 0)
    made, said = imported("balance.jsonl", "--concurrency", "64", "--warm-up", "0")
    assert "format: tokens, recognised by content" in said, said
    assert (made["load"] == load[:, :, 0]).all() and (made["tokens"] == tokens).all()
    assert "each batch_id is taken for a request" in said, said
    assert "which tokens are a prompt was not recorded" in said and "of its own" in said, said
    assert (made["tokens"] == 64).all() and (made["load"].sum(axis=2) == 64 * 4).all()
    shuffled, _ = imported("balance.jsonl", "--warm-up", "0", "--shuffle", "3")
    again, _ = imported("balance.jsonl", "--warm-up", "0", "--shuffle", "3")
    assert (shuffled["load"] == again["load"]).all()
    assert shuffled["load"].shape != load[:, :, 0].shape or (shuffled["load"] != load[:, :, 0]).any()
    refused("no step is left", "balance.jsonl", "--concurrency", "300", "--warm-up", "500")


def check_logger():
    """Passes as vLLM-MoE-Logger writes them: one req_id, token_idx from 0 in each pass."""
    meta = {
        "type": "meta", "model_id": "Qwen/Qwen1.5-MoE-A2.7B-Chat", "vllm_version": "0.11.2",
        "torch_version": "2.9.0", "device": "cuda", "seed": 1234, "layers_logged": [0],
        "top_k": 4, "created_at": 1764302556.0129569,
    }
    passes = [np.argsort(rng.random((n, 60)), axis=1)[:, :4] for n in (9, 1, 4, 1, 1, 3)]
    routes = [
        {
            "type": "route", "req_id": "r1", "token_idx": i, "layer": 0,
            "topk_ids": ids.tolist(), "topk_weights": rng.random(4).tolist(),
        }
        for part in passes
        for i, ids in enumerate(part)
    ]
    write("logger.jsonl", "".join(json.dumps(line) + "\n" for line in [meta, *routes]))
    made, said = imported("logger.jsonl", "--phase", "mixed")
    experts = made["load"].shape[2]
    expected = [np.bincount(part.ravel(), minlength=experts) for part in passes]
    assert (made["load"][:, 0] == expected).all(), said
    assert made["model"] == meta["model_id"] and "begins anew 5 times" in said, said


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def fixtures():
    """{format: {name: bytes}}"""
    header = {
        "model_name": "toy", "world_size": 2, "num_moe_layers": 2, "num_physical_experts": 4,
        "num_logical_experts": 3, "num_redundant_experts": 1, "window_size": 10,
    }
    first = {
        "step": 100, "window_expert_load": [[10, 20, 30, 40], [1, 2, 3, 4]],
        "latest_expert_load": [[1, 2, 3, 4], [5, 6.0, 7, 8]],
        "physical_to_logical_map": [[0, 1, 2, 0], [2, 1, 0, -1]],
    }
    first["window_expert_load"][1][3] = first["latest_expert_load"][1][3] = 0
    second = {"step": 200, "latest_expert_load": [[0, 1, 0, 0], [1, 0, 0, 0]]}
    row = {"step": 1, "latest_expert_load": [[1, 2]], "physical_to_logical_map": [1, 0]}
    record = {"logical_expert_load": [[1, 2, 3], [4.0, 5, 6]], "é": [None, "\n", 1e-3]}
    request = npz(
        request_id="r", prompt_token_ids=np.arange(2), output_token_ids=np.arange(2),
        routed_experts=np.arange(12).reshape(4, 3, 1).astype(np.int16),
    )
    dense = npz(routed_experts=np.array([[[0, 0], [1, 2]], [[0, 0], [2, 0]]]))
    meta = {"type": "meta", "model_id": "toy", "layers_logged": [0], "num_experts": 5}

    def batch(layer, name, experts):
        return {"layer": layer, "batch_id": name, "origin_rows": [0], "topk_experts": experts}

    def route(name, token, layer, experts):
        return {
            "type": "route", "req_id": name, "token_idx": token, "layer": layer,
            "topk_ids": experts, "topk_weights": [0.5],
        }

    return {
        "adrs": {
            "plain": json.dumps({"load_history": [record, record], "x": {}}).encode(),
            "indented": json.dumps({"x": 1, "load_history": [record]}, indent=1).encode(),
        },
        "vllm": {
            "object": json.dumps({"snapshots": [first, second], **header}).encode(),
            "lines": lines({**header, **first}, {**header, **second}),
            "headed": lines(header, first, second),
            "row": lines(row),
            "request": request,
            "requests": b"--file a\n" + request + b"--file b\n" + request,
            "dense": dense,
        },
        "tokens": {
            "balance": lines(*(batch(l, r, [[int(r)], [2]]) for l in (3, 1) for r in (0, 1, "2"))),
            "two": lines(batch(0, 1, [[0, 1], [2, 1]]), batch(0, 2, [[3, 1]])),
            "requests": lines(meta, *(route(r, t, 7, [t]) for t in (0, 1, 2) for r in "ab")),
            "passes": lines(
                {**meta, "top_k": 1}, *(route("r1", t, 0, [4 - t]) for t in (0, 1, 2, 0, 1, 0, 0))
            ),
            "layers": b"--file a\n" + lines(route("r", 0, 2, [1])) + b"--file b\n"
            + lines(route("r", 0, 5, [2])),
        },
    }


def write_fixtures(folder):
    for name, files in fixtures().items():
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for file, content in files.items():
            with open(os.path.join(folder, name, file), "wb") as out:
                out.write(content)


def check_fixtures():
    """They are good, or the fuzzer would begin with nothing."""
    for name, files in fixtures().items():
        for file, content in files.items():
            if content.startswith(b"--file"):
                continue
            with open("fixture", "wb") as out:
                out.write(content)
            made, _ = imported(
                "fixture", "--format", name, *(["--top-k", "1"] if name == "adrs" else []),
                *(["--top-k", "1"] if name == "vllm" and file not in ("request", "dense") else []),
                *(["--warm-up", "0"] if name == "tokens" or file in ("request", "dense") else []),
            )
            assert made["load"].sum() > 0


def main():
    if len(sys.argv) == 2:
        write_fixtures(sys.argv[1])
        return
    os.environ["MOEBAL"] = os.path.abspath(os.environ["MOEBAL"])
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        check_fixtures()
        check_adrs()
        check_memory()
        check_snapshots()
        check_npz()
        check_balance()
        check_logger()
        os.chdir("/")


main()
