#!/usr/bin/env python3
"""Trains a small DeepSeek-V3 on Debian's texts, and records it decoding: workloads/traces/.

    make_trace.py train  --work DIR --steps 3000
    make_trace.py record --work DIR -o TRACE.h5

The model is transformers' own implementation of DeepSeek-V3: latent attention, 8 layers of 64
experts in 8 groups of which a token may use 4, top 6, one shared expert, and the balance kept as
DeepSeek-V3 keeps it, by a bias on the choice that moves after each step, without a loss of its own.
"""

import argparse
import json
import math
import pathlib
import random
import time

import numpy as np
import record
import texts
import torch
from trace_file import TraceError, TraceWriter, count_experts
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

SEED = 1
VOCABULARY = 2048
END = 0  # the token between two documents
HELD_OUT = 10  # every tenth document is never trained on
SEQUENCE = 320
BATCH = 6
RATE, WARMUP, HALVING = 2e-3, 100, 600
BIAS_SPEED = 1e-3  # gamma of DeepSeek-V3's report, section 2.1.2
CHECKPOINT_STEPS = 100

CONFIG = dict(
    vocab_size=VOCABULARY,
    hidden_size=128,
    intermediate_size=384,
    moe_intermediate_size=64,
    num_hidden_layers=9,
    first_k_dense_replace=1,
    num_attention_heads=4,
    num_key_value_heads=4,
    q_lora_rank=64,
    kv_lora_rank=48,
    qk_rope_head_dim=16,
    qk_nope_head_dim=24,
    v_head_dim=24,
    n_routed_experts=64,
    n_shared_experts=1,
    num_experts_per_tok=6,
    n_group=8,
    topk_group=4,
    max_position_embeddings=512,
    tie_word_embeddings=True,
    initializer_range=0.06,
    num_mtp_layers=0,
    bos_token_id=END,
    eos_token_id=END,
)


def build_model():
    torch.manual_seed(SEED)
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**CONFIG))
    model.set_experts_implementation("grouped_mm")
    return model


def split_documents(corpus):
    """(trained on, held out), each name of kind -> documents"""
    trained = {k: [d for n, d in enumerate(v) if n % HELD_OUT] for k, v in corpus.items()}
    return trained, {k: v[::HELD_OUT] for k, v in corpus.items()}


def make_tokenizer(work, trained):
    """Byte-level word pieces, learnt from a part of each kind."""
    path = work / "tokenizer.json"
    if path.exists():
        return Tokenizer.from_file(str(path))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((d for v in trained.values() for d in v[:40]), trainer)
    tokenizer.save(str(path))
    return tokenizer


def tokens_of(tokenizer, documents):
    return [np.array(e.ids, dtype=np.int16) for e in tokenizer.encode_batch(documents)]


def load_tokens(work):
    """(trained on, held out), each name of kind -> list of token arrays; kept in DIR/tokens.npz"""
    path = work / "tokens.npz"
    if not path.exists():
        texts.fetch(work / "texts")
        parts = split_documents(texts.corpus(work / "texts", SEED))
        tokenizer = make_tokenizer(work, parts[0])
        arrays = {}
        for part, name in zip(parts, ("trained", "held")):
            for kind, documents in part.items():
                tokens = tokens_of(tokenizer, documents)
                arrays[f"{name}/{kind}"] = np.concatenate(tokens)
                arrays[f"{name}/{kind}/ends"] = np.cumsum([len(t) for t in tokens])
        np.savez(path, **arrays)
    with np.load(path) as file:
        return tuple(
            {
                kind.name: np.split(
                    file[f"{name}/{kind.name}"], file[f"{name}/{kind.name}/ends"][:-1]
                )
                for kind in texts.KINDS
            }
            for name in ("trained", "held")
        )


def stream_of(documents):
    """The documents one after the other, END between them."""
    end = np.array([END], dtype=np.int16)
    return np.concatenate([part for d in documents for part in (d, end)]).astype(np.int64)


def batches(streams, rng):
    """Endless [BATCH, SEQUENCE + 1] pieces; each kind has the same chance."""
    names = sorted(streams)
    while True:
        rows = []
        for name in rng.choices(names, k=BATCH):
            start = rng.randrange(len(streams[name]) - SEQUENCE - 1)
            rows.append(streams[name][start : start + SEQUENCE + 1])
        yield torch.from_numpy(np.stack(rows))


def loss_of(model, batch):
    logits = model(batch[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


class Balance:
    """DeepSeek-V3's balance without a loss: the choice's bias falls for experts above the mean."""

    def __init__(self, model):
        self.gates = [layer.mlp.gate for layer in model.model.layers if hasattr(layer.mlp, "gate")]
        self.counts = [None] * len(self.gates)
        for n, gate in enumerate(self.gates):
            gate.register_forward_hook(self.hook(n))

    def hook(self, n):
        def count(gate, inputs, outputs):
            self.counts[n] = torch.bincount(outputs[2].flatten(), minlength=gate.num_experts)

        return count

    def update(self):
        for gate, count in zip(self.gates, self.counts):
            count = count.float()
            gate.e_score_correction_bias += BIAS_SPEED * torch.sign(count.mean() - count)

    def max_over_mean(self):
        return [float(c.max() / c.float().mean()) for c in self.counts]


def rate_at(step):
    """It needs no end, so a run that is stopped early is the beginning of a longer one."""
    return RATE * min(1.0, (step + 1) / WARMUP) * (1 + max(0, step - WARMUP) / HALVING) ** -0.5


def make_optimizer(model):
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95), fused=True)


@torch.no_grad()
def held_out_loss(model, streams):
    model.eval()
    losses = {}
    for name, stream in sorted(streams.items()):
        rows = [stream[i * 4096 : i * 4096 + SEQUENCE + 1] for i in range(4)]
        losses[name] = float(loss_of(model, torch.from_numpy(np.stack(rows))))
    model.train()
    return losses


def save_checkpoint(work, model, optimizer, rng, step, seconds):
    """Written aside and renamed, so that a run may be cut off at any time."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": rng.getstate(),
        "step": step,
        "seconds": seconds,
    }
    torch.save(state, work / "checkpoint.new")
    (work / "checkpoint.new").rename(work / "checkpoint.pt")


def train(work, steps, threads):
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    trained, held = load_tokens(work)
    streams = {k: stream_of(v) for k, v in trained.items()}
    held_streams = {k: stream_of(v) for k, v in held.items()}
    model, rng = build_model(), random.Random(SEED)
    optimizer, balance, first, before = make_optimizer(model), Balance(model), 0, 0.0
    if (work / "checkpoint.pt").exists():
        state = torch.load(work / "checkpoint.pt", weights_only=False)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        rng.setstate(state["rng"])
        first, before = state["step"], state["seconds"]
    start, source, mean = time.monotonic(), batches(streams, rng), math.nan
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        loss = loss_of(model, next(source))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        balance.update()
        mean = loss.item() if math.isnan(mean) else 0.98 * mean + 0.02 * loss.item()
        seconds = before + time.monotonic() - start
        if (step + 1) % 20 == 0:
            print(
                f"step {step + 1}  {seconds:.0f} s  {(step + 1) * BATCH * SEQUENCE} tokens  "
                f"loss {mean:.3f}  max/mean {max(balance.max_over_mean()):.2f}",
                flush=True,
            )
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == steps:
            save_checkpoint(work, model, optimizer, rng, step + 1, seconds)
            if (step + 1) % (2 * CHECKPOINT_STEPS) == 0:
                losses = held_out_loss(model, held_streams)
                print(
                    "held out: " + json.dumps({k: round(v, 3) for k, v in losses.items()}),
                    flush=True,
                )


STREAMS = 64
STEPS = 2400
PROMPT = 32  # tokens
ANSWER = (96, 288)  # tokens, drawn evenly

# What the requests are about, between these points of the run a straight line: reading in English,
# then programming, then manuals of many countries, then everything at once.
MIXTURES = (
    (0.00, {"prose": 4, "dictionary": 3, "man-en": 2, "python": 1}),
    (0.15, {"prose": 4, "dictionary": 3, "man-en": 2, "python": 1}),
    (0.40, {"c": 3, "python": 3, "perl": 3, "man-en": 1}),
    (0.55, {"c": 3, "python": 3, "perl": 3, "man-en": 1}),
    (0.80, {"man-de": 2, "man-fr": 2, "man-es": 2, "man-ja": 2, "man-en": 2}),
    (1.00, {kind.name: 1 for kind in texts.KINDS}),
)


def mixture_at(share):
    """name of kind -> its part of the requests, at that share of the run"""
    after = next((n for n, (at, _) in enumerate(MIXTURES) if share <= at), len(MIXTURES) - 1)
    before = max(0, after - 1)
    (start, old), (end, new) = MIXTURES[before], MIXTURES[after]
    weight = min(1.0, (share - start) / (end - start)) if end > start else 1.0
    mixed = {kind.name: 0.0 for kind in texts.KINDS}
    for parts, part in ((old, 1 - weight), (new, weight)):
        for kind, n in parts.items():
            mixed[kind] += part * n / sum(parts.values())
    return mixed


class Requests:
    """Passages of the texts held out: a prompt, and what the text goes on with as the answer."""

    def __init__(self, held, seed):
        self.rng = random.Random(seed)
        self.streams = {k: stream_of(v) for k, v in held.items()}
        self.given = {k: 0 for k in held}

    def __call__(self, step):
        mixture = mixture_at(step / STEPS)
        kind = self.rng.choices(list(mixture), weights=list(mixture.values()))[0]
        stream, length = self.streams[kind], self.rng.randint(*ANSWER)
        start = self.rng.randrange(len(stream) - PROMPT - length)
        passage = stream[start : start + PROMPT + length].tolist()
        self.given[kind] += 1
        return record.Request(passage[:PROMPT], passage[PROMPT:], length)


def load_trained(work):
    state = torch.load(work / "checkpoint.pt", weights_only=False)
    model = build_model()
    model.load_state_dict(state["model"])
    return model.eval(), state["step"]


def source_text(work, steps):
    versions = ", ".join(texts.fetch(work / "texts"))
    licences = "; ".join(f"{kind.name} {kind.licence}" for kind in texts.KINDS)
    c, layers = CONFIG, CONFIG["num_hidden_layers"] - CONFIG["first_k_dense_replace"]
    return (
        f"A small model of our own, real routing: transformers' DeepSeek-V3, {layers} MoE layers"
        f" of {c['n_routed_experts']} experts in {c['n_group']} groups of which a token may use "
        f"{c['topk_group']}, hidden size {c['hidden_size']}, trained by workloads/record/"
        f"make_trace.py on a CPU ({steps} steps, {steps * BATCH * SEQUENCE} tokens) on texts of "
        f"{len(texts.KINDS)} kinds out of Debian packages. Recorded decoding {STREAMS} requests at "
        "once, finished ones replaced; each replays a passage held out of the training "
        f"({ANSWER[0]}-{ANSWER[1]} tokens after a prompt of {PROMPT}); the mixture of kinds drifts "
        "from English reading to programming, to manuals of many languages, to all at once. "
        f"Packages: {versions}. Their licences: {licences}. The trace holds counts alone, no text: "
        "same licence as the project."
    )


def record_trace(work, output, threads):
    torch.set_num_threads(threads)
    model, steps = load_trained(work)
    requests = Requests(load_tokens(work)[1], SEED)
    with (
        record.Recorder(model) as recorder,
        TraceWriter(
            output,
            model="DeepSeek-V3 mini",
            layer_ids=recorder.layer_ids,
            n_experts=recorder.n_experts,
            top_k=CONFIG["num_experts_per_tok"],
            num_groups=recorder.num_groups,
            phase="decode",
            source=source_text(work, steps),
            created_by=f"moebal make_trace.py, {record.created_by()}",
        ) as trace,
    ):
        passes = record.record_decode(
            model, recorder, requests, STREAMS, record.chooser("replay", 1, SEED)
        )
        for topk, phase in passes:
            trace.add_step(topk, phase)
            if trace.n_steps == STEPS:
                break
    print(
        f"{output}: {trace.n_steps} steps, {output.stat().st_size} bytes; requests: "
        + ", ".join(f"{k} {n}" for k, n in requests.given.items())
    )


def kind_loads(model, held, sequences=48):
    """name of kind -> load uint32 [L,E] of passages held out"""
    loads = {}
    with record.Recorder(model) as recorder, torch.no_grad():
        for kind, documents in held.items():
            stream = stream_of(documents)
            count = min(sequences, len(stream) // SEQUENCE)
            rows = torch.from_numpy(stream[: count * SEQUENCE].reshape(count, SEQUENCE))
            for part in rows.split(8):
                model(part, use_cache=False)
            loads[kind] = count_experts(recorder.take(), recorder.n_experts)
    return loads


def gini(load):
    ordered = np.sort(load / load.sum())
    return float(1 - 2 * (np.cumsum(ordered) - ordered / 2).sum() / len(ordered))


def spread(values):
    return f"{min(values):.2f}/{np.median(values):.2f}/{max(values):.2f}"


def top_share(load, part):
    hottest = np.sort(load)[::-1][: max(1, round(part * len(load)))]
    return float(hottest.sum() / load.sum())


def skew_row(name, load):
    shares = [np.log(np.maximum(row, 0.5) / row.sum()) for row in load]
    return (
        f"| {name} | {spread([row.max() / row.mean() for row in load])} | "
        f"{spread([gini(row) for row in load])} | "
        f"{np.mean([top_share(row, 0.1) for row in load]):.0%} | "
        f"{np.mean([top_share(row, 0.2) for row in load]):.0%} | "
        f"{np.mean([s.std() for s in shares]):.2f} |"
    )


def likeness(one, other):
    """(mean r over layers, least, most, mean total variation)"""
    r = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(one, other)]
    tv = [float(np.abs(a / a.sum() - b / b.sum()).sum() / 2) for a, b in zip(one, other)]
    return np.mean(r), min(r), max(r), np.mean(tv)


def show(work, path, threads):
    torch.set_num_threads(threads)
    model, steps = load_trained(work)
    held = load_tokens(work)[1]
    losses = held_out_loss(model, {k: stream_of(v) for k, v in held.items()})
    model.eval()
    loads = kind_loads(model, held)
    print(
        f"{steps} steps; loss of held-out passages, nats a token: "
        + ", ".join(f"{k} {v:.2f}" for k, v in losses.items())
    )
    print(
        "\n| data | max/mean min/med/max | Gini min/med/max | top-10% experts' share | "
        "top-20% share | sd of ln(share) |\n|---|---|---|---|---|---|"
    )
    for kind, load in loads.items():
        print(skew_row(kind, load))
    tokens = max(load.sum() for load in loads.values())
    print(skew_row("equal mix", sum(load * (tokens / load.sum()) for load in loads.values())))
    if path:
        with record_file(path) as file:
            print(skew_row("the trace, all steps", file["load"][:].sum(axis=0)))
    print("\n| pair | r (layers) | TV |\n|---|---|---|")
    names = sorted(loads)
    for n, one in enumerate(names):
        for other in names[n + 1 :]:
            r, least, most, tv = likeness(loads[one], loads[other])
            print(f"| {one} vs {other} | {r:.2f} ({least:.2f} to {most:.2f}) | {tv:.2f} |")
    if path:
        show_drift(path)


def record_file(path):
    import h5py

    return h5py.File(path)


def show_drift(path, window=64):
    with record_file(path) as file:
        load = file["load"][:].astype(np.float64)
    count = len(load) // window
    windows = load[: count * window].reshape(count, window, *load.shape[1:]).sum(axis=1)
    print("\n| data, window | lag | r | TV |\n|---|---|---|---|")
    for name, series, lags in (
        ("per step", load, (1, 64)),
        (f"{window}-step windows", windows, (1, 4, 8, 16)),
    ):
        for lag in lags:
            # Between single steps a sample is enough.
            pairs = range(0, len(series) - lag, 1 if series is windows else 16)
            both = [likeness(series[t], series[t + lag]) for t in pairs]
            print(
                f"| {name} | {lag} | {np.mean([b[0] for b in both]):.3f} | "
                f"{np.mean([b[3] for b in both]):.3f} |"
            )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("train", "fetch the texts and train, or go on from DIR's checkpoint"),
        ("record", "record the trained model decoding"),
        ("show", "how the routers specialised: skew, likeness of kinds, drift"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--work",
            type=pathlib.Path,
            required=True,
            metavar="DIR",
            help="texts, tokens and checkpoint are kept there",
        )
        command.add_argument("--threads", type=int, default=1)
        if name == "train":
            command.add_argument("--steps", type=int, default=3000)
        elif name == "record":
            command.add_argument(
                "-o", "--output", type=pathlib.Path, required=True, metavar="TRACE.h5"
            )
        else:
            command.add_argument("--trace", type=pathlib.Path, help="and the drift of this trace")
    arguments = parser.parse_args()
    try:
        if arguments.command == "train":
            train(arguments.work, arguments.steps, arguments.threads)
        elif arguments.command == "record":
            record_trace(arguments.work, arguments.output, arguments.threads)
        else:
            show(arguments.work, arguments.trace, arguments.threads)
    except (TraceError, OSError) as error:
        raise SystemExit(f"make_trace.py: {error}") from error


if __name__ == "__main__":
    main()
