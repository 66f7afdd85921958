"""The recorder's hooks and its decoding, against counts made by hand and by other ways."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import h5py
import numpy as np
import torch
import transformers

SOURCE = pathlib.Path(os.environ["MOEBAL_SOURCE"])
# This file has the name of the one that it tests.
sys.path[0] = str(SOURCE / "workloads" / "record")
import make_trace
import record
import texts
from trace_file import TraceError, count_experts

TINY = sorted((SOURCE / "workloads" / "record" / "tiny").glob("*.json"))

# The toy's router: the experts of each token, in its two layers, top 2 of 4.
TABLE = torch.tensor(
    [
        [[0, 1], [2, 3]],  # token 0
        [[1, 2], [2, 0]],  # token 1
        [[3, 0], [2, 1]],
    ]
)  # token 2


class ToyExperts(torch.nn.Module):
    num_experts = 4

    def forward(self, hidden, top_k_index, top_k_weights):
        return hidden


class ToyLayer(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n, self.experts = n, ToyExperts()

    def forward(self, ids):
        topk = TABLE[ids.flatten(), self.n]
        self.experts(torch.zeros(len(topk), 1), topk, top_k_weights=torch.ones(topk.shape))


class Toy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.config = transformers.PreTrainedConfig()
        self.layers = torch.nn.ModuleList([torch.nn.Identity(), ToyLayer(0), ToyLayer(1)])

    def forward(self, input_ids, attention_mask=None):
        for layer in self.layers[1:]:
            layer(input_ids)


def load_of(recorder):
    return count_experts(recorder.take(), recorder.n_experts)


def tiny_model(path):
    """In float64, so that the order of sums decides no tie; its routers have something to say.

    The fast ways through the experts know no float64.
    """
    torch.manual_seed(11)
    model = record.random_model(path).double().eval()
    model.set_experts_implementation("eager")
    for name, parameter in model.named_parameters():
        if "gate.weight" in name or "router.weight" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            torch.nn.init.normal_(buffer, std=0.2)
    return model


def padded_batch():
    """Three rows of 12 tokens: one whole, one with padding on the left, one on the right."""
    torch.manual_seed(5)
    ids, mask = torch.randint(0, 256, (3, 12)), torch.ones(3, 12, dtype=torch.long)
    mask[1, :5] = 0
    mask[2, 9:] = 0
    return ids, mask


def chosen_by(model, logits):
    """A layer's logits [tokens, E] -> experts [tokens, k], from the papers rather than the code."""
    config, logits = model.config, logits.float().numpy()
    k = config.num_experts_per_tok
    if config.model_type != "deepseek_v3":
        return np.argsort(-logits, axis=1, kind="stable")[:, :k]
    chosen = []
    for row in 1 / (1 + np.exp(-logits)) + chosen_by.bias:
        groups = row.reshape(config.n_group, -1)
        strength = np.sort(groups, axis=1)[:, -2:].sum(axis=1)
        allowed = np.isin(np.arange(config.n_group), np.argsort(-strength)[: config.topk_group])
        row = np.where(np.repeat(allowed, groups.shape[1]), row, -np.inf)
        chosen.append(np.argsort(-row)[:k])
    return np.array(chosen)


def recount(model, ids, mask):
    """load [L,E], from the logits that the model itself gives out"""
    with torch.no_grad():
        outputs = model(input_ids=ids, attention_mask=mask, output_router_logits=True)
    keep = mask.flatten().bool().numpy()
    biases = [b for n, b in model.named_buffers() if n.endswith("e_score_correction_bias")]
    loads = []
    for n, logits in enumerate(outputs.router_logits):
        chosen_by.bias = biases[n].numpy() if biases else 0
        topk = chosen_by(model, logits.reshape(len(keep), -1))[keep]
        loads.append(np.bincount(topk.ravel(), minlength=logits.shape[-1]))
    return np.array(loads)


def requests_of(lengths):
    torch.manual_seed(9)
    tokens = [torch.randint(3, 256, (p + a,)).tolist() for p, a in lengths]
    return [record.Request(t[:p], t[p:], a) for t, (p, a) in zip(tokens, lengths)]


class Toys(unittest.TestCase):
    def test_counts_made_by_hand(self):
        toy = Toy()
        with record.Recorder(toy) as recorder:
            self.assertEqual(recorder.layer_ids, [1, 2])
            toy(torch.tensor([[0, 1, 2], [2, 2, 1]]))
            self.assertEqual(load_of(recorder).tolist(), [[4, 3, 2, 3], [2, 3, 6, 1]])
            self.assertEqual(recorder.top_k, 2)
            self.assertIsNone(recorder.take())
            toy(torch.tensor([[0]]))
            toy(torch.tensor([[1]]))
            self.assertEqual(load_of(recorder).tolist(), [[1, 2, 1, 0], [1, 0, 2, 1]])
        toy(torch.tensor([[0]]))
        self.assertIsNone(recorder.take(), "hooks stay where they were")

    def test_padding_is_left_out(self):
        toy = Toy()
        with record.Recorder(toy) as recorder:
            mask = torch.tensor([[0, 1, 1], [1, 1, 0]])
            toy(torch.tensor([[0, 1, 2], [2, 2, 1]]), attention_mask=mask)
            # Tokens 1 2 and 2 2 are left.
            self.assertEqual(load_of(recorder).tolist(), [[3, 1, 1, 3], [1, 3, 4, 0]])
            # With a cache the mask is longer than the pass.
            toy(torch.tensor([[1], [2]]), attention_mask=torch.tensor([[0, 1, 1], [1, 1, 0]]))
            self.assertEqual(load_of(recorder).tolist(), [[0, 1, 1, 0], [1, 0, 1, 0]])
            with self.assertRaisesRegex(TraceError, "attention_mask"):
                toy(torch.tensor([[1]]), attention_mask=torch.ones(1, 1, 1, 1))

    def test_unfit_models(self):
        with self.assertRaisesRegex(TraceError, "no experts were found in Linear"):
            record.Recorder(dense_toy())
        uneven = Toy()
        uneven.layers[1].experts.num_experts = 8
        with self.assertRaisesRegex(TraceError, r"layers of \[4, 8\] experts"):
            record.Recorder(uneven)
        silent = Toy()
        silent.layers[2].forward = lambda ids: None
        with record.Recorder(silent), self.assertRaisesRegex(TraceError, "decided for None tokens"):
            silent(torch.tensor([[0]]))
        blind = Toy()
        blind.layers[2].forward = lambda ids: blind.layers[2].experts(
            torch.zeros(1, 1), torch.ones(1, 2), torch.ones(1, 2)
        )
        with record.Recorder(blind), self.assertRaisesRegex(TraceError, "ToyExperts .layers.2"):
            blind(torch.tensor([[0]]))


def dense_toy():
    linear = torch.nn.Linear(2, 2)
    linear.config = transformers.PreTrainedConfig()
    return linear


class Architectures(unittest.TestCase):
    def test_counts_are_those_of_the_logits(self):
        for path in TINY:
            with self.subTest(path.stem):
                model, (ids, mask) = tiny_model(path), padded_batch()
                with record.Recorder(model) as recorder, torch.no_grad():
                    model(input_ids=ids, attention_mask=mask)
                    load = load_of(recorder)
                self.assertEqual(load.sum(), 28 * recorder.top_k * len(recorder.layer_ids))
                self.assertEqual(load.tolist(), recount(model, ids, mask).tolist())

    def test_groups_limit_the_choice(self):
        model, (ids, mask) = tiny_model(TINY[0]), padded_batch()
        self.assertEqual(model.config.model_type, "deepseek_v3")
        with record.Recorder(model) as recorder, torch.no_grad():
            model(input_ids=ids, attention_mask=mask)
            topk = recorder.take()
        self.assertEqual((recorder.num_groups, recorder.layer_ids), (8, [1, 2, 3]))
        groups = [len(set(token // 4)) for token in topk.reshape(-1, topk.shape[-1])]
        self.assertLessEqual(max(groups), model.config.topk_group)

    def test_layers_without_experts_are_passed_over(self):
        model = tiny_model(SOURCE / "workloads/record/tiny/qwen3_moe.json")
        self.assertEqual(record.Recorder(model).layer_ids, [0, 2, 3])


class Decoding(unittest.TestCase):
    """A token's decisions may not depend on who decodes beside it."""

    LENGTHS = [(7, 5), (3, 9), (20, 1), (5, 4), (4, 12), (9, 3)]

    def alone(self, model, whole):
        """load [L,E] of each request read in one pass, of the answers or of all its tokens"""
        load = 0
        with record.Recorder(model) as recorder, torch.no_grad():
            for request in requests_of(self.LENGTHS):
                model(input_ids=torch.tensor([request.prompt + request.answer]))
                topk = recorder.take()
                load = load + count_experts(
                    topk if whole else topk[len(request.prompt) :], recorder.n_experts
                )
        return load

    def together(self, model, streams, with_prefill):
        loads, phases, source = [], [], iter(requests_of(self.LENGTHS))
        with record.Recorder(model) as recorder:
            for topk, phase in record.record_decode(
                model,
                recorder,
                lambda step: next(source, None),
                streams,
                record.chooser("greedy", 1, 0),
                with_prefill,
            ):
                loads.append(count_experts(topk, recorder.n_experts))
                phases.append(phase)
        return np.array(loads, dtype=np.int64), phases

    def test_in_company_as_alone(self):
        for path in TINY:
            model = tiny_model(path)
            for streams in (1, 3, 8):
                with self.subTest(path.stem, streams=streams):
                    loads, phases = self.together(model, streams, False)
                    self.assertEqual(loads.sum(axis=0).tolist(), self.alone(model, False).tolist())
                    self.assertEqual(set(phases), {"decode"})
                    loads, phases = self.together(model, streams, True)
                    self.assertEqual(loads.sum(axis=0).tolist(), self.alone(model, True).tolist())
                    self.assertEqual(set(phases), {"decode", "mixed"})

    def test_steps(self):
        model = tiny_model(TINY[0])
        loads, _ = self.together(model, 1, False)
        self.assertEqual(len(loads), sum(a for _, a in self.LENGTHS))
        loads, _ = self.together(model, 8, False)
        tokens = [sum(a > t for _, a in self.LENGTHS) for t in range(12)]
        self.assertEqual((loads[:, 0].sum(axis=1) // 4).tolist(), tokens)

    def test_prefill(self):
        for path in TINY:
            model, source = (
                tiny_model(path),
                iter(requests_of([(p + a, 1) for p, a in self.LENGTHS])),
            )
            with self.subTest(path.stem), record.Recorder(model) as recorder:
                steps = list(
                    record.record_prefill(model, recorder, lambda s: next(source, None), 4)
                )
                self.assertEqual([len(topk) for topk, _ in steps], [12 + 12 + 21 + 9, 16 + 12])
                self.assertEqual([phase for _, phase in steps], ["prefill"] * 2)

    def test_greedy_is_what_generate_says(self):
        model, prompt = tiny_model(TINY[-1]), list(range(40, 52))
        ids = torch.tensor([prompt])
        said = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=None,
        )[0].tolist()
        seen = []

        def choose(logits):
            seen.append(int(logits.argmax()))
            return logits.argmax(dim=-1)

        batch = record.Batch(model, choose)
        batch.ends = set()
        batch.join([record.Request(prompt, None, 5)])
        while batch.requests:
            batch.step()
        self.assertEqual(prompt + seen, said)

    def test_a_request_ends_with_its_end_token(self):
        model, steps = tiny_model(TINY[-1]), 0
        answers = iter([5, 6, 7, 8])
        batch = record.Batch(model, lambda logits: torch.tensor([next(answers)]))
        batch.ends = {7}
        batch.join([record.Request([40, 41], None, 9)])
        while batch.requests:
            batch.step()
            steps += 1
        self.assertEqual(steps, 2)


class MakingTheTrace(unittest.TestCase):
    """The parts of make_trace.py that can be done by hand."""

    def test_mixture(self):
        for share in np.linspace(0, 1.1, 45):
            self.assertAlmostEqual(sum(make_trace.mixture_at(share).values()), 1)
        self.assertAlmostEqual(make_trace.mixture_at(0.1)["prose"], 0.4)
        self.assertAlmostEqual(make_trace.mixture_at(0.5)["c"], 0.3)
        # Half-way from the first mixture to the second.
        self.assertAlmostEqual(make_trace.mixture_at(0.275)["prose"], 0.2)
        self.assertAlmostEqual(make_trace.mixture_at(0.275)["python"], 0.2)
        self.assertAlmostEqual(make_trace.mixture_at(1)["perl"], 0.1)

    def test_balance(self):
        model, (ids, _) = tiny_model(TINY[0]), padded_batch()
        gates = [layer.mlp.gate for layer in model.model.layers[1:]]
        before = [gate.e_score_correction_bias.clone() for gate in gates]
        balance = make_trace.Balance(model)
        with record.Recorder(model) as recorder, torch.no_grad():
            model(input_ids=ids)
            load = load_of(recorder).astype(float)
        balance.update()
        for gate, old, row in zip(gates, before, load):
            moved = (gate.e_score_correction_bias - old).numpy()
            np.testing.assert_allclose(moved, 1e-3 * np.sign(row.mean() - row), atol=1e-7)

    def test_measures(self):
        self.assertAlmostEqual(make_trace.gini(np.array([1, 1, 1, 1])), 0)
        self.assertAlmostEqual(make_trace.gini(np.array([0, 0, 0, 5])), 0.75)
        self.assertAlmostEqual(make_trace.top_share(np.array([1, 2, 3, 4] + [0] * 6), 0.2), 0.7)
        r, least, most, tv = make_trace.likeness(
            np.array([[1, 2, 3], [1, 2, 3]]), np.array([[2, 4, 6], [3, 2, 1]])
        )
        self.assertAlmostEqual(r, 0)
        self.assertAlmostEqual(least, -1)
        self.assertAlmostEqual(most, 1)
        self.assertAlmostEqual(tv, 1 / 6)

    def test_pieces(self):
        text = "".join(f"line {n} of a long text\n" for n in range(3000)) + "x" * 40000
        pieces = list(texts.pieces(text))
        self.assertEqual("".join(pieces), text)
        self.assertTrue(all(len(p) <= texts.DOCUMENT_BYTES for p in pieces))
        self.assertTrue(pieces[0].endswith("\n"))


class CommandLine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.text = self.folder / "a.txt"
        self.text.write_text("In the beginning was the word.")
        self.jsonl = self.folder / "b.jsonl"
        self.jsonl.write_text('{"text": "and the word"}\n{"text": "was with God"}\n')
        self.ids = self.folder / "c.ids"
        self.ids.write_text("5 6 7 8 9\n1, 2, 3\n")
        self.trace = self.folder / "x.h5"

    def run_record(self, *arguments):
        """What it says where it succeeds, or the one line with which it gives up."""
        said = io.StringIO()
        with (
            mock.patch("sys.argv", ["record.py", *map(str, arguments)]),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            try:
                record.main()
            except SystemExit as end:
                return f"{said.getvalue()}{end.code}"
        return said.getvalue()

    def verify(self, *words):
        for command in (["verify"], ["info", "--window", "4"]):
            done = subprocess.run(
                [os.environ["MOEBAL"], "trace", *command, self.trace],
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertNotIn("WRONG", done.stdout)
        for word in words:
            self.assertIn(word, done.stdout)

    def test_each_architecture(self):
        for path in TINY:
            for more in (
                ("--phase", "prefill"),
                ("--decode", "sample"),
                ("--phase", "mixed", "--decode", "replay", "--prompt-tokens", "6"),
            ):
                with self.subTest(path.stem, more=more):
                    said = self.run_record(
                        "--random-weights",
                        path,
                        "-o",
                        self.trace,
                        "--topk",
                        "--text",
                        self.text,
                        "--jsonl",
                        self.jsonl,
                        "--streams",
                        2,
                        "--new-tokens",
                        5,
                        *more,
                    )
                    self.assertIn("x.h5: ", said)
                    self.verify(f"{path.stem} with random weights", "/topk", "padding: excluded")
                    with h5py.File(self.trace) as file:
                        at, load = file["topk_offset"][:], file["load"][:]
                        for step in range(len(load)):
                            topk = file["topk"][at[step] : at[step + 1]]
                            self.assertEqual(
                                count_experts(topk, load.shape[2]).tolist(), load[step].tolist()
                            )

    def test_a_model_of_a_folder(self):
        tiny_model(TINY[-1]).float().save_pretrained(self.folder / "model")
        self.run_record(
            self.folder / "model",
            "-o",
            self.trace,
            "--tokens",
            self.ids,
            "--new-tokens",
            4,
            "--steps",
            3,
            "--source",
            "numbers",
        )
        self.verify("model         model, decode", "3 steps", "numbers")

    def test_lines_end_with_line_feeds(self):
        # U+2028 may stand in a JSON text as it is.
        self.jsonl.write_text('{"text": "and\u2028the word"}\n', encoding="utf-8")
        said = self.run_record(
            "--random-weights", TINY[0], "-o", self.trace, "--jsonl", self.jsonl, "--phase", "prefill"
        )
        self.assertIn("x.h5: 1 steps", said)

    def test_refused(self):
        tiny, dense = TINY[0], self.folder / "dense.json"
        dense.write_text(
            '{"model_type": "llama", "vocab_size": 260, "hidden_size": 16, '
            '"intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}'
        )
        (self.folder / "bad.ids").write_text("5 6\n7 x\n")
        (self.folder / "big.ids").write_text("5 9999\n")
        (self.folder / "unknown.json").write_text('{"model_type": "no such"}')
        (self.folder / "list.json").write_text("[1, 2]")
        (self.folder / "number.jsonl").write_text('{"text": "a"}\n\n{"text": 7}\n')
        (self.folder / "latin.jsonl").write_bytes(b'{"text": "\xe4"}\n')
        (self.folder / "bad.jsonl").write_text('{"text": "a"}\n{"words": "b"}\n')
        random = ("--random-weights", tiny, "-o", self.trace)
        for arguments, word in (
            ((*random,), "no prompts"),
            (
                ("--random-weights", dense, "-o", self.trace, "--text", self.text),
                "no experts were found in LlamaForCausalLM",
            ),
            (
                ("--random-weights", self.text, "-o", self.trace, "--text", self.text),
                "a config.json",
            ),
            ((self.folder / "nowhere", "-o", self.trace, "--tokens", self.ids), "nowhere"),
            ((*random, "--text", self.folder / "no.txt"), "no.txt"),
            ((*random, "--tokens", self.folder / "bad.ids"), "bad.ids:2: should be token ids"),
            ((*random, "--tokens", self.folder / "big.ids"), "isn't in 0..259"),
            ((*random, "--jsonl", self.folder / "bad.jsonl"), "bad.jsonl:2: should be a JSON"),
            ((*random, "--jsonl", self.folder / "number.jsonl"), "number.jsonl:3: should be a"),
            ((*random, "--jsonl", self.folder / "latin.jsonl"), "latin.jsonl: should be UTF-8"),
            *(
                (
                    ("--random-weights", self.folder / name, "-o", self.trace, "--text", self.text),
                    f"{name}: should be a config.json",
                )
                for name in ("unknown.json", "list.json")
            ),
            ((*random, "--text", self.text, "--steps", "-1"), "--steps must be at least 0"),
            ((*random, "--text", self.text, "--prompt-tokens", "-1"), "--prompt-tokens must be"),
            ((*random, "--text", self.text, "--temperature", "nan"), "must be above 0"),
            ((*random, "--text", self.text, "--dtype", "float7"), "--dtype: 'float7'"),
            ((*random, "--text", self.text, "--device", "abacus"), "--device: "),
            ((*random, tiny, "--text", self.text), "a MODEL, or --random-weights"),
            ((*random, "--text", self.text, "--streams", "0"), "at least 1"),
            (("--random-weights", tiny, "-o", self.folder / "no/x.h5", "--text", self.text), "no/"),
        ):
            with self.subTest(word):
                self.assertIn(word, self.run_record(*arguments))
                self.assertFalse(self.trace.exists())


if __name__ == "__main__":
    unittest.main()
