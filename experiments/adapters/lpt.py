"""The strategy `lpt` in plain Python, without groups and nodes: what planner.py is tried with."""
import numpy as np


def replicate(load, slots):
    """The expert of each item: one of each, then a replica at a time for the largest load a replica."""
    items = list(range(len(load)))
    count = np.ones(len(load))
    for extra in range(slots - len(load)):
        expert = int(np.argmax(load / count)) if load.any() else extra % len(load)
        items.append(expert)
        count[expert] += 1
    return items, load[items] / count[items]


def pack(weight, gpus):
    """The items of each GPU: the heaviest item left to the lightest GPU that is not full."""
    room = len(weight) // gpus
    held = [[] for _ in range(gpus)]
    if room == 1:
        return [[item] for item in range(gpus)]
    total = np.zeros(gpus)
    for item in np.argsort(-weight, kind="stable"):
        gpu = min((g for g in range(gpus) if len(held[g]) < room), key=lambda g: total[g])
        held[gpu].append(item)
        total[gpu] += weight[item]
    return held


def rebalance_experts(load, slots, groups, nodes, gpus):
    if groups > 1 and groups % nodes == 0:
        raise SystemExit("lpt.py places without regard to groups and nodes: set cluster.groups to 1")
    placed = []
    for layer in load:
        items, weight = replicate(layer, slots)
        placed.append([items[item] for gpu in pack(weight, gpus) for item in gpu])
    return np.array(placed)
