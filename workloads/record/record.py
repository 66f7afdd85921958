#!/usr/bin/env python3
"""Records the routing of a transformers Mixture-of-Experts model as a moebal trace.

    record.py MODEL -o TRACE.h5 --text FILE...     a model and its tokenizer, for from_pretrained
    record.py --random-weights CONFIG.json -o TRACE.h5 ...   that architecture, without a download

Prompts are files of text (each a prompt), JSON lines, or token ids (a prompt a line). --phase
decode decodes --streams of them at once, a finished one's place taken by the next (continuous
batching), a step of the trace being one forward pass; the prefills between are recorded with
--phase mixed, and alone with --phase prefill. --decode replay lets each prompt's own text be the
answer (it is cut in two after --prompt-tokens), greedy and sample let the model speak.
"""

import argparse
import dataclasses
import inspect
import json
import pathlib
import re
import sys

from trace_file import TraceError, TraceWriter

try:
    import torch
    import transformers
except ImportError as missing:
    sys.exit(f"record.py: {missing.name} is missing: pip install torch transformers h5py")


class Recorder:
    """Takes down which experts a model's tokens go to; a context manager.

    The decisions are caught where they are used, at the door of each layer's experts, so how the
    router came to them (softmax, sigmoid and bias, groups) makes no difference. What stands in a
    forward pass's attention_mask as 0 is padding, and left out.
    """

    def __init__(self, model):
        self.model, self.handles, self.decided, self.kept = model, [], [], []
        config = model.config.get_text_config()
        modules = [(name, module) for name, module in model.named_modules() if is_experts(module)]
        if not modules:
            raise TraceError(
                f"no experts were found in {type(model).__name__}: is it a Mixture-of-"
                "Experts model, and transformers 5 or later?"
            )
        self.modules = modules
        self.layer_ids = [layer_id(name) for name, _ in modules]
        if sorted(set(self.layer_ids)) != self.layer_ids:
            raise TraceError(
                f"{type(model).__name__} has the layers {self.layer_ids}: an encoder "
                "beside a decoder can't be told apart in a trace"
            )
        sizes = {int(module.num_experts) for _, module in modules}
        if len(sizes) != 1:
            raise TraceError(
                f"{type(model).__name__} has layers of {sorted(sizes)} experts; a trace "
                "has one number for all"
            )
        self.n_experts = sizes.pop()
        self.num_groups = int(getattr(config, "n_group", None) or 1)
        self.top_k = None  # known with the first forward pass

    def __enter__(self):
        model = self.model
        self.handles = [
            model.register_forward_pre_hook(self._begin, with_kwargs=True),
            model.register_forward_hook(self._end),
            *(
                module.register_forward_pre_hook(self._hook(n), with_kwargs=True)
                for n, (_, module) in enumerate(self.modules)
            ),
        ]
        return self

    def __exit__(self, *exception):
        for handle in self.handles:
            handle.remove()

    def _begin(self, model, arguments, named):
        ids = named.get("input_ids", arguments[0] if arguments else None)
        if ids is None:
            ids = named.get("inputs_embeds")
        if ids is None:
            raise TraceError("the forward pass has neither input_ids nor inputs_embeds")
        self.shape = tuple(ids.shape[:2])
        mask = named.get("attention_mask")
        if mask is not None and mask.dim() != 2:
            raise TraceError("an attention_mask is needed that has a 0 or 1 for each token")
        # With a cache the mask also covers the tokens in it; this pass's own come last.
        self.mask = None if mask is None else mask[:, -self.shape[1] :].bool().flatten()
        self.decided = [None] * len(self.modules)

    def _hook(self, n):
        name, _ = self.modules[n]

        def decide(module, arguments, named):
            topk = [
                v
                for v in (*arguments, *named.values())
                if isinstance(v, torch.Tensor)
                and not v.is_floating_point()
                and v.dtype != torch.bool
                and v.dim() >= 2
            ]
            if len(topk) != 1:
                raise TraceError(
                    f"{type(module).__name__} ({name}) isn't called with the experts' "
                    "numbers; this model can't be recorded"
                )
            self.decided[n] = topk[0].reshape(-1, topk[0].shape[-1]).detach()

        return decide

    def _end(self, model, arguments, output):
        tokens = self.shape[0] * self.shape[1]
        for (name, module), topk in zip(self.modules, self.decided):
            found = None if topk is None else len(topk)
            if found != tokens:
                raise TraceError(
                    f"{type(module).__name__} ({name}) decided for {found} tokens of {tokens}"
                )
        widths = {topk.shape[1] for topk in self.decided}
        if len(widths) != 1 or (self.top_k or min(widths)) not in widths:
            raise TraceError(
                f"tokens go to {sorted(widths)} experts; a trace has one number for all"
            )
        self.top_k = widths.pop()
        topk = torch.stack([t.to(self.decided[0].device) for t in self.decided], dim=1)
        self.kept.append((topk if self.mask is None else topk[self.mask.to(topk.device)]).cpu())
        self.decided = []

    def take(self):
        """The decisions since the last take: int [tokens, L, k]."""
        kept, self.kept = self.kept, []
        return torch.cat(kept).numpy() if kept else None


def is_experts(module):
    """transformers 5 holds a layer's experts in one module, whose class is called ...Experts."""
    return type(module).__name__.endswith("Experts") and isinstance(
        getattr(module, "num_experts", None), int
    )


def layer_id(name):
    """model.layers.3.mlp.experts -> 3"""
    numbers = re.findall(r"\.(\d+)(?=\.|$)", name)
    if not numbers:
        raise TraceError(f"{name}: a layer's number is expected in its name")
    return int(numbers[0])


@dataclasses.dataclass
class Request:
    prompt: list
    answer: list | None  # the tokens to replay, or None where the model chooses
    length: int  # tokens to decode at most
    given: int = 0


class Batch:
    """Requests decoded together, a row of the cache each, aligned at their last token.

    A row's unused columns on the left are masked, so requests of any age share a forward pass.
    """

    def __init__(self, model, choose):
        kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or [])
        if other := kinds - {"full_attention", "sliding_attention"}:
            raise TraceError(
                f"{type(model).__name__} has layers of {', '.join(sorted(other))}, whose "
                "state can't be joined and cut; only --phase prefill works"
            )
        self.model, self.choose, self.ends = model, choose, end_tokens(model)
        self.requests, self.cache, self.mask, self.next = [], None, None, None
        # What is `cache` today was `past_key_values` before.
        names = inspect.signature(type(model).forward).parameters
        self.cache_name = "cache" if "cache" in names else "past_key_values"

    def _logits(self, ids, mask, cache):
        """Of the last token of each row."""
        return self.model(
            input_ids=ids,
            attention_mask=mask,
            use_cache=True,
            position_ids=positions(mask)[:, -ids.shape[1] :],
            **{self.cache_name: cache},
        ).logits[:, -1]

    @torch.no_grad()
    def join(self, requests):
        """Prefills the requests and gives them rows."""
        ids, mask = prompts_of(requests, self.model.device)
        cache = transformers.DynamicCache()
        chosen = self._next_of(requests, self._logits(ids, mask, cache))
        if self.requests:
            width = max(self.mask.shape[1], mask.shape[1])
            self.mask = torch.cat([pad_left(self.mask, width, 1), pad_left(mask, width, 1)])
            for old, new in zip(self.cache.layers, cache.layers, strict=True):
                for part in ("keys", "values"):
                    both = [pad_left(getattr(c, part), width, 2) for c in (old, new)]
                    setattr(old, part, torch.cat(both))
            self.next = torch.cat([self.next, chosen])
        else:
            self.cache, self.mask, self.next = cache, mask, chosen
        self.requests = self.requests + requests
        self._leave()

    @torch.no_grad()
    def step(self):
        """Decodes one token of each row."""
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        logits = self._logits(self.next[:, None], self.mask, self.cache)
        self.next = self._next_of(self.requests, logits)
        self._leave()

    def _next_of(self, requests, logits):
        chosen = self.choose(logits)
        for row, request in enumerate(requests):
            if request.answer is not None and request.given < request.length:
                chosen[row] = request.answer[request.given]
            elif request.answer is None and int(chosen[row]) in self.ends:
                request.length = request.given
            request.given += 1
        return chosen

    def _leave(self):
        """Frees the rows of finished requests, and the columns that no row uses any more."""
        rows = [n for n, r in enumerate(self.requests) if r.given <= r.length]
        if len(rows) == len(self.requests):
            return
        self.requests = [self.requests[n] for n in rows]
        if not rows:
            self.cache = self.mask = self.next = None
            return
        chosen = torch.tensor(rows, device=self.mask.device)
        mask = self.mask[chosen]
        first = int(mask.any(dim=0).int().argmax())
        self.mask, self.next = mask[:, first:], self.next[chosen]
        for layer in self.cache.layers:
            layer.keys = layer.keys[chosen, :, first:]
            layer.values = layer.values[chosen, :, first:]


def prompts_of(requests, device):
    """(input_ids, attention_mask), shorter prompts padded on the left"""
    width = max(len(r.prompt) for r in requests)
    ids = [[0] * (width - len(r.prompt)) + r.prompt for r in requests]
    mask = [[0] * (width - len(r.prompt)) + [1] * len(r.prompt) for r in requests]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def positions(mask):
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def pad_left(tensor, width, dim):
    shape = list(tensor.shape)
    shape[dim] = width - shape[dim]
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)


def end_tokens(model):
    ends = model.config.get_text_config().eos_token_id
    return set() if ends is None else {ends} if isinstance(ends, int) else set(ends)


def chooser(decode, temperature, seed):
    """logits [rows, vocabulary] -> tokens [rows]"""
    if decode != "sample":
        return lambda logits: logits.argmax(dim=-1)
    generator = torch.Generator().manual_seed(seed)

    def sample(logits):
        shares = torch.softmax(logits.float().cpu() / temperature, dim=-1)
        return torch.multinomial(shares, 1, generator=generator)[:, 0].to(logits.device)

    return sample


@torch.no_grad()
def record_prefill(model, recorder, requests, streams):
    """Yields (decisions, phase) of batches of up to `streams` prompts, as record_decode does."""
    step = 0
    while batch := [r for r in (requests(step) for _ in range(streams)) if r]:
        ids, mask = prompts_of(batch, model.device)
        model(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False)
        yield recorder.take(), "prefill"
        step += 1


def record_decode(model, recorder, requests, streams, choose, with_prefill=False):
    """Yields (decisions, phase) of each step, `streams` requests decoding at once.

    `requests(step)` is the next request, or None where there are no more. The prefill of those that
    take a place counts only `with_prefill`, as part of the step in which it happens.
    """
    batch, step = Batch(model, choose), 0
    while True:
        came = []
        while len(batch.requests) + len(came) < streams and (request := requests(step)):
            came.append(request)
        if with_prefill:
            # A pass over those who are there, and one over those who come, make one step.
            if batch.requests:
                batch.step()
            if came:
                batch.join(came)
            topk = recorder.take()
        else:
            if came:
                batch.join(came)
                recorder.take()
            if batch.requests:
                batch.step()
            topk = recorder.take()
        if topk is None and not came:
            return
        if topk is not None:
            yield topk, "decode" if not (with_prefill and came) else "mixed"
            step += 1


def random_model(path):
    """The architecture of a config.json, with weights drawn at random."""
    try:
        config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        kind = config.pop("model_type")
        config = transformers.AutoConfig.for_model(kind, **config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TraceError(
            f"{path}: should be a config.json with a model_type that transformers knows: "
            f"{first_line(error)}"
        ) from error
    return transformers.AutoModelForCausalLM.from_config(config)


def first_line(error):
    return (str(error).splitlines() or [repr(error)])[0]


def read_lines(path):
    """(number, line) of a file's lines, ended by a line feed alone, that are not blank."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: should be UTF-8: {error}") from error
    return [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]


def read_prompts(arguments, encode):
    """Lists of token ids, of all the files in turn."""
    prompts = []
    for path in arguments.text:
        prompts.append(encode(pathlib.Path(path).read_text(encoding="utf-8", errors="replace")))
    for path in arguments.jsonl:
        for number, line in read_lines(path):
            try:
                text = json.loads(line)[arguments.field]
            except (ValueError, KeyError, TypeError):
                text = None
            if not isinstance(text, str):
                raise TraceError(
                    f"{path}:{number}: should be a JSON object with a text "
                    f'"{arguments.field}" (--field)'
                )
            prompts.append(encode(text))
    for path in arguments.tokens:
        for number, line in read_lines(path):
            try:
                prompts.append([int(word) for word in line.replace(",", " ").split()])
            except ValueError as error:
                raise TraceError(f"{path}:{number}: should be token ids: {error}") from error
    prompts = [p for p in prompts if p]
    if not prompts:
        raise TraceError("no prompts: give --text, --jsonl or --tokens")
    return prompts


def check_tokens(prompts, vocabulary):
    for number, prompt in enumerate(prompts):
        if min(prompt) < 0 or max(prompt) >= vocabulary:
            raise TraceError(f"prompt {number + 1} has a token that isn't in 0..{vocabulary - 1}")


def make_requests(prompts, arguments):
    """Each prompt as a request, cut as --prompt-tokens and --new-tokens say."""
    requests = []
    for prompt in prompts:
        cut = min(len(prompt), arguments.prompt_tokens or len(prompt))
        if arguments.phase != "prefill" and arguments.decode == "replay":
            cut = min(cut, len(prompt) - 1)
            answer = prompt[cut : cut + arguments.new_tokens]
            if cut < 1:
                continue  # a single token leaves nothing to replay
            requests.append(Request(prompt[:cut], answer, len(answer)))
        else:
            requests.append(Request(prompt[:cut], None, arguments.new_tokens))
    if not requests:
        raise TraceError("no prompt has the two tokens that --decode replay needs")
    return requests


def created_by():
    return f"moebal record.py, transformers {transformers.__version__}, torch {torch.__version__}"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="a name or folder for from_pretrained")
    parser.add_argument("-o", "--output", required=True, type=pathlib.Path, metavar="TRACE.h5")
    parser.add_argument(
        "--random-weights",
        metavar="CONFIG.json",
        help="instead of a model; the bytes of a text are its tokens then",
    )
    parser.add_argument("--text", nargs="+", default=[], metavar="FILE", help="each file a prompt")
    parser.add_argument("--jsonl", nargs="+", default=[], metavar="FILE", help="each line a prompt")
    parser.add_argument("--field", default="text", help="of the JSON lines (default: text)")
    parser.add_argument(
        "--tokens", nargs="+", default=[], metavar="FILE", help="each line a prompt of token ids"
    )
    parser.add_argument("--phase", choices=["prefill", "decode", "mixed"], default="decode")
    parser.add_argument("--decode", choices=["greedy", "sample", "replay"], default="greedy")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--streams", type=int, default=64, help="requests at once (default: 64)")
    parser.add_argument(
        "--prompt-tokens",
        type=int,
        default=0,
        metavar="N",
        help="longer prompts are cut (default: never; for replay, at the last token)",
    )
    parser.add_argument(
        "--new-tokens",
        type=int,
        default=256,
        metavar="N",
        help="of a request at most (default: 256)",
    )
    parser.add_argument("--steps", type=int, default=0, help="stop after that many")
    parser.add_argument("--topk", action="store_true", help="also every single decision: /topk")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, ...")
    parser.add_argument("--source", default="", help="what the texts are, and their licence")
    arguments = parser.parse_args()
    if (arguments.model is None) == (arguments.random_weights is None):
        parser.error("give a MODEL, or --random-weights")
    for name in ("streams", "new_tokens"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    for name in ("prompt_tokens", "steps"):
        if getattr(arguments, name) < 0:
            parser.error(f"--{name.replace('_', '-')} must be at least 0 (no limit)")
    if not 0 < arguments.temperature < float("inf"):
        parser.error("--temperature must be above 0")
    if arguments.dtype != "auto" and not isinstance(
        getattr(torch, arguments.dtype, None), torch.dtype
    ):
        parser.error(f"--dtype: '{arguments.dtype}' isn't auto or a type of torch")
    try:
        torch.empty(0, device=arguments.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        parser.error(f"--device: {first_line(error)}")
    return arguments


def load_model(arguments):
    """(model, text -> token ids, the model's name)"""
    torch.manual_seed(arguments.seed)
    if arguments.random_weights:
        model = random_model(arguments.random_weights)
        name = f"{model.config.model_type} with random weights"
        return model.to(arguments.device).eval(), lambda text: list(text.encode()), name
    try:
        tokenizer = (
            transformers.AutoTokenizer.from_pretrained(arguments.model)
            if arguments.text or arguments.jsonl
            else None
        )
        model = transformers.AutoModelForCausalLM.from_pretrained(
            arguments.model, dtype=arguments.dtype
        )
    except (OSError, ValueError) as error:
        raise TraceError(f"{arguments.model}: {first_line(error)}") from error
    return (
        model.to(arguments.device).eval(),
        lambda text: tokenizer.encode(text),
        pathlib.Path(arguments.model).name,
    )


def steps_of(model, recorder, requests, arguments):
    source = iter(requests)

    def following(step):
        return next(source, None)

    if arguments.phase == "prefill":
        return record_prefill(model, recorder, following, arguments.streams)
    return record_decode(
        model,
        recorder,
        following,
        arguments.streams,
        chooser(arguments.decode, arguments.temperature, arguments.seed),
        arguments.phase == "mixed",
    )


def run(arguments):
    model, encode, name = load_model(arguments)
    prompts = read_prompts(arguments, encode)
    check_tokens(prompts, model.config.get_text_config().vocab_size)
    requests = make_requests(prompts, arguments)
    how = (
        arguments.phase
        if arguments.phase == "prefill"
        else f"{arguments.phase}, {arguments.decode}"
    )
    source = (
        f"{name}: {how} of {len(requests)} requests, {arguments.streams} at once. "
        f"{arguments.source or 'The texts were not described.'}"
    )
    with Recorder(model) as recorder:
        steps = steps_of(model, recorder, requests, arguments)
        topk, phase = next(steps, (None, None))
        if topk is None:
            raise TraceError("nothing was decoded: every request ended with its prefill")
        with TraceWriter(
            arguments.output,
            model=name,
            layer_ids=recorder.layer_ids,
            n_experts=recorder.n_experts,
            top_k=recorder.top_k,
            num_groups=recorder.num_groups,
            phase=arguments.phase,
            source=source,
            created_by=created_by(),
            with_topk=arguments.topk,
        ) as trace:
            while topk is not None:
                trace.add_step(topk, phase)
                if trace.n_steps == arguments.steps:
                    break
                topk, phase = next(steps, (None, None))
    print(
        f"{arguments.output}: {trace.n_steps} steps x {len(recorder.layer_ids)} layers x "
        f"{recorder.n_experts} experts, top {recorder.top_k}, {trace.n_tokens} tokens"
    )


def main():
    arguments = parse_arguments()
    try:
        run(arguments)
    except (TraceError, OSError) as error:
        sys.exit(f"record.py: {error}")


if __name__ == "__main__":
    main()
