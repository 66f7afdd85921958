"""Lets `moebal run` plan with a Python function: {use: command, command: python3 planner.py MODULE}.

The function is that of DeepSeek EPLB: rebalance_experts(load [layers, experts], slots, groups, nodes,
gpus) returns the expert of each slot [layers, slots], alone or first of several. MODULE:NAME names
another. The load is a numpy array, or a tensor where the module has imported torch.
"""
import importlib
import os
import sys

import numpy as np

answers, sys.stdout = sys.stdout, sys.stderr  # what the function prints is no answer
sys.path.insert(0, os.getcwd())
module, _, name = sys.argv[1].partition(":")
rebalance = getattr(importlib.import_module(module), name or "rebalance_experts")
shape = dict(word.split("=") for word in sys.stdin.readline().split()[2:])
sizes = [int(shape[key]) for key in ("slots", "groups", "nodes", "gpus")]
print("ready", file=answers, flush=True)
for line in sys.stdin:
    _, step, loads, current, out = line.split()
    load = np.load(loads).sum(axis=0)
    load = sys.modules["torch"].from_numpy(load) if "torch" in sys.modules else load
    placed = rebalance(load, *sizes)
    np.save(out, np.asarray(placed[0] if isinstance(placed, tuple) else placed))
    print("done", file=answers, flush=True)
