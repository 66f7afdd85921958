"""Refuses results files that differ in anything but /timing and /provenance: same_results.py A B..."""
import sys

import h5py


def contents(path):
    """What is in a file: every object's name, type, shape, bytes and attributes."""
    found = {}

    def note(name, item):
        if name.split("/")[0] in ("timing", "provenance"):
            return
        attributes = {key: (str(item.attrs[key]), str(item.attrs.get_id(key).dtype)) for key in item.attrs}
        data = None
        if isinstance(item, h5py.Dataset):
            array = item[()]
            # Texts of any length are objects, and their bytes are addresses.
            data = (str(item.dtype), item.shape, repr(array.tolist()) if item.dtype.hasobject or
                    item.dtype.names else array.tobytes())
        found[name] = (attributes, data)

    with h5py.File(path) as file:
        file.visititems(note)
        found["/"] = {key: str(file.attrs[key]) for key in file.attrs}
    return found


def main():
    first = contents(sys.argv[1])
    if not any(name.startswith("runs/") for name in first):
        sys.exit(f"{sys.argv[1]}: no runs")
    for path in sys.argv[2:]:
        other = contents(path)
        for name in sorted(first.keys() | other.keys()):
            if name not in other or name not in first or first[name] != other[name]:
                sys.exit(f"{sys.argv[1]} and {path} differ in {name}")


main()
