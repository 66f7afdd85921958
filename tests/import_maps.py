"""Placement maps as json, PyYAML and numpy write them, all the same placement of layers 3 to 5.

  import_maps.py FOLDER    writes FOLDER/map_FORMAT/NAME; YAML only where PyYAML is there
"""

import json
import os
import sys

import numpy as np

L, E, D, EACH = 3, 16, 4, 6
SLOTS = D * EACH
ROWS = [[(7 * layer + 5 * slot) % E for slot in range(SLOTS)] for layer in range(L)]


def open_new(folder, format, name, mode="w"):
    os.makedirs(os.path.join(folder, format), exist_ok=True)
    return open(os.path.join(folder, format, name), mode)


def write_sglang(folder):
    dense = [list(range(SLOTS))] * 3
    for name, indent in (("plain.json", None), ("indented.json", 2)):
        rows = [[slot % E for slot in row] for row in dense] + ROWS
        with open_new(folder, "map_sglang", name) as file:
            json.dump({"physical_to_logical_map": rows}, file, indent=indent)


def write_vllm_ascend(folder):
    layers = [{"layer_id": l, "device_count": D,
               "device_list": [{"device_id": d, "device_expert": row[d * EACH:(d + 1) * EACH]}
                               for d in range(D)]}
              for l, row in enumerate(ROWS)]
    for name, indent in (("plain.json", None), ("indented.json", 4)):
        with open_new(folder, "map_vllm_ascend", name) as file:
            json.dump({"moe_layer_count": L, "layer_list": layers}, file, indent=indent)


def write_trtllm(folder):
    try:
        import yaml
    except ImportError:
        print("skipped: YAML, as there is no PyYAML")
        return
    config = {"num_slots": SLOTS, "initial_global_assignments": dict(zip(range(3, 3 + L), ROWS)),
              "layer_updates_per_iter": 0}
    for name, flow in (("block.yaml", False), ("flow.yaml", True), ("default.yaml", None)):
        with open_new(folder, "map_trtllm", name) as file:
            yaml.safe_dump(config, file, default_flow_style=flow)


def write_npy(folder):
    for name, array in (("int64.npy", np.array(ROWS)),
                        ("big-endian.npy", np.array(ROWS, dtype=">i4")),
                        ("fortran.npy", np.asfortranarray(np.array(ROWS, dtype=np.int16))),
                        ("float.npy", np.array(ROWS, dtype=np.float32)),
                        ("sequence.npy", np.array([ROWS], dtype=np.uint8))):
        with open_new(folder, "map_npy", name, "wb") as file:
            np.save(file, array)


for write in (write_sglang, write_vllm_ascend, write_trtllm, write_npy):
    write(sys.argv[1])
