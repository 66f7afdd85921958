#!/usr/bin/env python3
"""The rebalance in torch, as a baseline for `moebal bench --with-torch`, which starts this program.

All layers are packed side by side, and each round of swaps looks at all n x n pairs of items at once,
which is how such balancers are written for PyTorch. Ties are as in naive.h: the sort is stable, and
of equal candidates the first is taken. In float64 the placement is then that of naive.h, bit for bit;
in float32, which is what it is timed in, rounding may decide otherwise.

Standard input brings requests, standard output takes the answers, both little-endian:

  once:    text[128] version of torch, text[128] name of the GPU, empty where there is none
  request: int64[6] L, E, P, G, N, D; text[16] lpt, maxmin or l2; int64 bits of a number, 64 or 32;
           int64 1 for the GPU, else 0; float64[L,E] loads
  answer:  float64 seconds; int64 rounds, swaps; int32 physical_to_logical_map[L,P],
           logical_to_physical_map[L,E,P-E+1], expert_count[L,E]
"""
import array
import struct
import sys
import time

try:
    import torch
except ImportError as error:
    sys.exit(f"{error}")

MAX_ROUNDS = 50
MIN_GAIN = 1e-6
NEVER = float("-inf")


def pack_lpt(weight, n_packs):
    """[X, n] sorted weights -> [X, n] packs: the next item to the lightest pack with room."""
    n_rows, n_items = weight.shape
    load = torch.zeros(n_rows, n_packs, dtype=weight.dtype, device=weight.device)
    count = torch.zeros(n_rows, n_packs, dtype=torch.int64, device=weight.device)
    pack = torch.zeros(n_rows, n_items, dtype=torch.int64, device=weight.device)
    one = torch.ones(n_rows, 1, dtype=torch.int64, device=weight.device)
    for i in range(n_items):
        open_load = load.masked_fill(count >= n_items // n_packs, float("inf"))
        lightest = open_load.argmin(dim=1, keepdim=True)
        pack[:, i : i + 1] = lightest
        load.scatter_add_(1, lightest, weight[:, i : i + 1])
        count.scatter_add_(1, lightest, one)
    return pack


def gains_maxmin(weight, pack, load):
    """[X, n, n] what a swap of i, in the heaviest pack, and j, elsewhere, gains."""
    heaviest_load, heaviest = load.max(dim=1)
    d = weight.unsqueeze(2) - weight.unsqueeze(1)
    rest = heaviest_load.view(-1, 1, 1) - load.gather(1, pack).unsqueeze(1) - d
    inside = pack == heaviest.unsqueeze(1)
    allowed = inside.unsqueeze(2) & ~inside.unsqueeze(1) & (d > 0)
    return torch.where(allowed, torch.min(d, rest), NEVER)


def gains_l2(weight, pack, load):
    """[X, n, n] by how much a swap of i and j lowers the sum of squared pack loads."""
    load_of = load.gather(1, pack)
    d = weight.unsqueeze(2) - weight.unsqueeze(1)
    gain = 2 * d * (load_of.unsqueeze(2) - load_of.unsqueeze(1) - d)
    apart = pack.unsqueeze(2) != pack.unsqueeze(1)
    return torch.where(apart & (gain > MIN_GAIN), gain, NEVER)


GAINS = {"lpt": None, "maxmin": gains_maxmin, "l2": gains_l2}


def refine(weight, pack, n_packs, gains):
    """Swaps in place, a swap a row and round; returns how many rounds and swaps."""
    n_rows, n_items = weight.shape
    swaps = torch.zeros(n_rows, dtype=torch.int64, device=weight.device)
    load = torch.zeros(n_rows, n_packs, dtype=weight.dtype, device=weight.device)
    for _ in range(MAX_ROUNDS):
        load.zero_().scatter_add_(1, pack, weight)
        best, at = gains(weight, pack, load).view(n_rows, -1).max(dim=1)
        better = best > MIN_GAIN
        if not better.any():
            break
        row = better.nonzero().squeeze(1)
        i, j = at[row] // n_items, at[row] % n_items
        pack_i, pack_j = pack[row, i], pack[row, j]
        pack[row, i], pack[row, j] = pack_j, pack_i
        swaps += better
    # A row that finds no swap has had its last round: nothing changes in it any more.
    return int((swaps + 1).clamp(max=MAX_ROUNDS).sum()), int(swaps.sum())


def balanced_packing(weight, n_packs, strategy):
    """[X, n] weights -> [X, n] packs, [X, n] ranks in them, rounds, swaps."""
    n_rows, n_items = weight.shape
    if n_items == n_packs:
        pack = torch.arange(n_items, device=weight.device).expand(n_rows, -1)
        return pack, torch.zeros_like(pack), 0, 0
    weight, order = weight.sort(dim=1, descending=True, stable=True)
    sorted_pack = pack_lpt(weight, n_packs)
    rounds, swaps = 0, 0
    if GAINS[strategy] is not None:
        rounds, swaps = refine(weight, sorted_pack, n_packs, GAINS[strategy])
    pack = torch.empty_like(sorted_pack).scatter_(1, order, sorted_pack)
    by_pack = sorted_pack.argsort(dim=1, stable=True)
    ranks = torch.arange(n_items // n_packs, device=weight.device).repeat(n_packs)
    sorted_rank = torch.empty_like(pack).scatter_(1, by_pack, ranks.expand(n_rows, -1))
    return pack, torch.empty_like(pack).scatter_(1, order, sorted_rank), rounds, swaps


def replicate(load, n_slots):
    """[X, n] loads -> [X, slots] items, [X, slots] which copy it is, [X, n] copies."""
    n_rows, n_items = load.shape
    item = torch.arange(n_slots, device=load.device).repeat(n_rows, 1)
    copy = torch.zeros_like(item)
    count = torch.ones(n_rows, n_items, dtype=torch.int64, device=load.device)
    row = torch.arange(n_rows, device=load.device)
    for slot in range(n_items, n_slots):
        neediest = (load / count).max(dim=1).indices
        item[:, slot] = neediest
        copy[:, slot] = count[row, neediest]
        count[row, neediest] += 1
    return item, copy, count


def inverse(permutation):
    """[X, n] -> [X, n]"""
    positions = torch.arange(permutation.shape[1], device=permutation.device)
    return torch.empty_like(permutation).scatter_(1, permutation, positions.expand_as(permutation))


def rebalance(load, n_slots, n_groups, n_nodes, n_gpus, strategy):
    """[L, E] loads -> the three maps, rounds, swaps."""
    n_layers, n_experts = load.shape
    if n_groups % n_nodes != 0:
        n_groups = n_nodes = 1
    group_size = n_experts // n_groups
    groups = torch.arange(group_size, device=load.device)

    # Groups onto nodes; then experts in the order of the nodes' lists.
    # Added one after the other, which is not the order of sum().
    group_load = load.unflatten(1, (n_groups, group_size)).cumsum(2)[:, :, -1]
    node, rank, rounds, swaps = balanced_packing(group_load, n_nodes, strategy)
    place = (node * (n_groups // n_nodes) + rank) * group_size
    place = (place.unsqueeze(2) + groups).flatten(1)
    expert_at = inverse(place)

    # Replicas on each node; then a node's slots onto its GPUs.
    node_load = load.gather(1, expert_at).view(-1, n_experts // n_nodes)
    item, copy, count = replicate(node_load, n_slots // n_nodes)
    weight = (node_load / count).gather(1, item)
    node_gpus = n_gpus // n_nodes
    gpu, rank, more_rounds, more_swaps = balanced_packing(weight, node_gpus, strategy)
    item_at = inverse(gpu * (n_slots // n_gpus) + rank)

    # From items of nodes back to experts of layers.
    first = torch.arange(n_nodes, device=load.device) * (n_experts // n_nodes)
    position = item.gather(1, item_at).view(n_layers, n_nodes, -1) + first.view(1, -1, 1)
    expert = expert_at.gather(1, position.flatten(1))
    replica = copy.gather(1, item_at).view(n_layers, -1)
    n_replicas = n_slots - n_experts + 1
    slots = torch.full((n_layers, n_experts * n_replicas), -1, device=load.device)
    numbers = torch.arange(n_slots, device=load.device).expand(n_layers, -1)
    slots.scatter_(1, expert * n_replicas + replica, numbers)
    expert_count = count.view(n_layers, -1).gather(1, place)
    return (expert, slots, expert_count), rounds + more_rounds, swaps + more_swaps


def timed(device, call):
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def write_ints(out, tensor):
    values = array.array("i", tensor.to(torch.int32).cpu().flatten().tolist())
    if sys.byteorder == "big":
        values.byteswap()
    out.write(values.tobytes())


def answer(source, out, request):
    n_layers, n_experts, n_slots, n_groups, n_nodes, n_gpus, strategy, bits, gpu = request
    numbers = array.array("d", source.read(8 * n_layers * n_experts))
    if sys.byteorder == "big":
        numbers.byteswap()
    device = torch.device("cuda" if gpu else "cpu")
    number = torch.float64 if bits == 64 else torch.float32
    load = torch.tensor(numbers, dtype=torch.float64).view(n_layers, n_experts).to(device, number)
    name = strategy.rstrip(b"\0").decode()
    seconds, (maps, rounds, swaps) = timed(
        device, lambda: rebalance(load, n_slots, n_groups, n_nodes, n_gpus, name)
    )
    out.write(struct.pack("<dqq", seconds, rounds, swaps))
    for part in maps:
        write_ints(out, part)
    out.flush()


def main():
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    source, out = sys.stdin.buffer, sys.stdout.buffer
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    out.write(struct.pack("<128s128s", torch.__version__.encode()[:127], gpu.encode()[:127]))
    out.flush()
    header = struct.Struct("<6q16s2q")
    while len(data := source.read(header.size)) == header.size:
        answer(source, out, header.unpack(data))


if __name__ == "__main__":
    main()
