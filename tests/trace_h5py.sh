#!/bin/sh
# What moebal writes, h5py reads; and loads that h5py writes in other types and chunks are the same
# loads to moebal. Skips where there is no h5py.
set -eu
moebal=${MOEBAL:?says where moebal is}
folder=$(mktemp -d "${TMPDIR:-/tmp}/moebal-h5py-XXXXXX")
trap 'rm -rf "$folder"' EXIT
python=
for one in "${MOEBAL_PYTHON:-python3}" /usr/bin/python3; do
  if [ -z "$python" ] && "$one" -c 'import h5py, numpy' 2>/dev/null; then
    python=$one
  fi
done
if [ -z "$python" ]; then
  echo "skipped: there is no Python with h5py (MOEBAL_PYTHON may name one)"
  exit 77
fi

# Of 130 steps, chunks of whole steps and a part of one; large enough for several.
"$moebal" trace generate --set steps=130 --set layers=8 --set tokens=512 -o "$folder/a.h5" >/dev/null
"$python" - "$folder" <<'EOF'
import sys
import h5py, numpy
folder = sys.argv[1]
with h5py.File(folder + "/a.h5") as a:
    load = a["load"][:]
    assert load.dtype == numpy.dtype("<u4") and a["load"].chunks[0] < len(load), a["load"]
    assert a["load"].shuffle and a["load"].compression == "gzip", a["load"]
    assert (load.sum(axis=2) == 512 * 8).all()
    shape = load.shape
    ways = {
        "plain": dict(chunks=None),
        "shuffled": dict(chunks=(7,) + shape[1:], shuffle=True),
        "deflated": dict(chunks=(130,) + shape[1:], compression="gzip", compression_opts=9),
        "both": dict(chunks=(1,) + shape[1:], compression="gzip", shuffle=True),
        "long": dict(chunks=(64,) + shape[1:], maxshape=(None,) + shape[1:], compression="gzip",
                     compression_opts=0, shuffle=True),
        "split": dict(chunks=(16, 4, 64), compression="gzip", shuffle=True),
        "checked": dict(chunks=(16,) + shape[1:], compression="gzip", fletcher32=True),
        "big": dict(chunks=(16,) + shape[1:], compression="gzip", shuffle=True, dtype=">u4"),
        "wide": dict(chunks=(16,) + shape[1:], compression="gzip", shuffle=True, dtype="<i8"),
        "real": dict(chunks=(16,) + shape[1:], compression="gzip", shuffle=True, dtype="<f4"),
    }
    for name, way in ways.items():
        with h5py.File("%s/%s.h5" % (folder, name), "w") as b:
            for key, value in a.attrs.items():
                b.attrs[key] = value
            b.create_dataset("load", data=load.astype(way.pop("dtype", "<u4")), **way)
EOF
for name in plain shuffled deflated both long split checked big wide real; do
  # The digest is in the file, so that other loads would be refused.
  "$moebal" trace verify "$folder/$name.h5" | grep -q "as recorded in the file"
  for threads in 1 3; do
    OMP_NUM_THREADS=$threads "$moebal" trace info "$folder/$name.h5" | grep -q "as recorded"
  done
done
