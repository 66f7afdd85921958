"""Runs sweeps in the current folder, kills them, resumes them, and compares what comes of it."""

import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy

MOEBAL = os.environ["MOEBAL"]
OUT = "out.h5"
PARTS = OUT + ".parts"

# Of its twelve cells four do not fit the cluster.
CONFIG = """
name: small
trace: {generate: {use: domains, steps: 400, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
strategies: [lpt, l2]
sweep: {schedule.interval: [10, 20], cluster.slots: [24, 30, 32], trace.merge: [1, 2]}
"""

# One cell has no end.
ENDLESS = """
name: endless
trace: {generate: {use: domains, steps: 60, layers: 3, experts: 16, top_k: 2, groups: 4}}
cluster: {nodes: 2, gpus: 4, slots: 24}
schedule: {interval: 10, window: 15}
strategies: [lpt]
sweep: {trace.generate.steps: [60, 1e8, 70, 80]}
"""


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def start(*arguments, **options):
    """`moebal run` in a process group of its own."""
    return subprocess.Popen([MOEBAL, "run", *arguments, "-o", OUT], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True, **options)


def run(expected, *arguments, **options):
    process = start(*arguments, **options)
    _, said = process.communicate(timeout=300)
    assert process.returncode == expected, (arguments, process.returncode, said)
    assert len(said.splitlines()) <= 1, said
    return said


def refused(text, *arguments, **options):
    said = run(1, *arguments, **options)
    assert text in said, said


def datasets(path=OUT):
    """A digest of each dataset that has to be the same, and of its attributes."""
    found = {}

    def visit(name, item):
        if name.startswith(("timing", "provenance")):
            return
        digest = hashlib.sha256(repr(list(item.attrs)).encode())
        for value in item.attrs.values():
            digest.update(repr(value).encode())
        if isinstance(item, h5py.Dataset):
            digest.update(repr((item.dtype, item.shape)).encode() + item[()].tobytes())
        found[name] = digest.hexdigest()

    with h5py.File(path) as file:
        file.visititems(visit)
        found["order"] = [list(file["runs"]), file["summary"]["run"].tolist()]
    assert len(found) > 20, found
    return found


def times(file, run):
    """What was measured when a run was made: no other making of it has the same."""
    return numpy.concatenate([strategy["planner_seconds"][:]
                              for strategy in file["timing"][run].values()]).tobytes()


def finished():
    """The parts that are there: what was measured in each, by run."""
    found = {}
    if os.path.isdir(PARTS):
        for name in os.listdir(PARTS):
            if name.endswith(".h5"):
                with h5py.File(os.path.join(PARTS, name)) as file:
                    found[name[:-3]] = times(file, name[:-3])
    return found


def check_same(expected, before, what):
    assert sorted(os.listdir(".")) == ["c.yaml", OUT], (what, os.listdir("."))
    assert datasets() == expected, what
    with h5py.File(OUT) as file:
        for one, measured in before.items():
            assert times(file, one) == measured, (what, "run again: " + one)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.001)


def kill_later(process, moment):
    """Kills all of the group at a moment: seconds, or "merge" for when all cells are done.
    Whether there was still something to kill."""
    if moment == "merge":
        end = time.monotonic() + 60
        while process.poll() is None and len(finished_names()) < 8 and time.monotonic() < end:
            time.sleep(0.0002)
        moment = random.uniform(0, 0.02)
    time.sleep(moment)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()
    return process.returncode == -signal.SIGKILL


def finished_names():
    try:
        return [name for name in os.listdir(PARTS) if name.endswith(".h5")]
    except FileNotFoundError:
        return []


def jobs():
    return ["--jobs", str(random.randint(1, 3))]


def test_jobs():
    """The same from any number of processes."""
    expected = None
    for n in 1, 2, 4:
        said = run(1, "c.yaml", "-q", "--jobs", str(n))
        assert "4 of 12 cells failed" in said, said
        expected = expected or datasets()
        check_same(expected, {}, "%d jobs" % n)
        os.remove(OUT)
    return expected


def test_kills(expected, n):
    """Killed at random moments, once or several times in a row, and resumed."""
    begin = time.monotonic()
    run(1, "c.yaml", "-q", "--jobs", "2")
    length = time.monotonic() - begin
    n_kills = n_parts = i = 0
    while n_kills < n:
        i += 1
        if os.path.exists(OUT):
            os.remove(OUT)
        before = {}
        resume = []
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            moment = "merge" if random.random() < 0.2 else random.uniform(0, length)
            n_kills += kill_later(start("c.yaml", "-q", *resume, *jobs()), moment)
            now = finished()
            for one, measured in before.items():
                # Where none is left, all were merged already.
                assert not now or now[one] == measured, (i, "run again: " + one)
            before.update(now)
            resume = ["--resume"]
        n_parts += bool(before)
        if os.path.isdir(PARTS) and random.random() < 0.1:
            refused("go on with --resume", "c.yaml", "-q")
        run(1, "c.yaml", "-q", "--resume", *jobs())
        check_same(expected, before, "kill %d" % i)
    os.remove(OUT)
    print("%d kills in %d sweeps, %d of which had finished cells" % (n_kills, i, n_parts))
    assert n_parts >= i // 4, "the moments miss what they are for"


def kill_when(condition, *arguments):
    """Kills a run at the very moment; whether it came."""
    process = start("c.yaml", "-q", *arguments)
    while process.poll() is None and not condition():
        pass
    return kill_later(process, 0) and condition()


def is_merging():
    """Whether there is a merged file that has not got its name yet."""
    try:
        return any(name.startswith("merged.results.") for name in os.listdir(PARTS))
    except FileNotFoundError:
        return False


def remove_all():
    for name in os.listdir("."):
        if name.startswith(OUT):
            shutil.rmtree(name) if os.path.isdir(name) else os.remove(name)


def make_parts():
    """All parts, and no more."""
    for _ in range(100):
        remove_all()
        if kill_when(lambda: len(finished_names()) == 8, "--jobs", "2") and not os.path.exists(OUT):
            return
    raise AssertionError("it merges too fast")


def test_end(expected, n):
    """Killed while it merges, and whatever a kill leaves from there on to the end."""
    make_parts()
    before = finished()
    assert len(before) == 8
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "kept")
        whole = os.path.join(folder, "whole")
        shutil.copytree(PARTS, kept)

        def again(what):
            run(1, "c.yaml", "-q", "--resume", *jobs())
            check_same(expected, before, what)
            remove_all()

        def parts(name=PARTS):
            shutil.copytree(kept, name)

        n_hits = n_tries = 0
        while n_hits < n:
            remove_all()
            parts()
            hit = kill_when(is_merging, "--resume", *jobs())
            n_hits += hit
            n_tries += 1
            assert n_tries < 40 * n, "it merges too fast"
            if hit:
                assert not os.path.exists(OUT), "written without its being renamed"
                again("killed while it merged")
        parts()
        run(1, "c.yaml", "-q", "--resume")
        shutil.copy(OUT, whole)
        # Merged, but nothing renamed yet; then only the output; then the folder, which goes.
        remove_all()
        parts()
        shutil.copy(whole, os.path.join(PARTS, "merged.results"))
        again("killed before the merged file got its name")
        parts()
        shutil.copy(whole, OUT)
        refused("go on with --resume", "c.yaml", "-q")
        again("killed before the folder got its name")
        parts(PARTS + ".done")
        for name in sorted(os.listdir(PARTS + ".done"))[::2]:
            os.remove(os.path.join(PARTS + ".done", name))
        shutil.copy(whole, OUT)
        inode = os.stat(OUT).st_ino
        run(1, "c.yaml", "-q", "--resume")
        assert os.stat(OUT).st_ino == inode, "what is complete was made again"
        check_same(expected, before, "killed while the folder went")
    remove_all()
    print("%d kills while it merged, in %d tries" % (n_hits, n_tries))


def test_beginning(expected):
    """Killed before there was anything finished."""
    for files in (), ("lock",), ("lock", "manifest.part-a1b2c3", "0.h5.part-a1b2c3", "00.x.error"):
        os.mkdir(PARTS)
        for name in files:
            write(os.path.join(PARTS, name), "half")
        run(1, "c.yaml", "-q", "--resume")
        check_same(expected, {}, files)
        remove_all()


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as file:
                if int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(name))
        except (OSError, ValueError, IndexError):
            pass
    return found


def test_worker_dies():
    """A worker that is killed costs its cell, and no other; and it can be tried once more."""
    write("c.yaml", ENDLESS.replace("1e8", "200000"))
    for n in "1", "2":
        process = start("c.yaml", "-q", "--jobs", n)
        wait_for(lambda: len(finished_names()) == (1 if n == "1" else 3))
        time.sleep(0.1)
        workers = children(process.pid)
        assert len(workers) == 1, workers
        os.kill(workers[0], signal.SIGKILL)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1 and "1 of 4 cells failed" in said, said
        assert "(--resume tries them once more)" in said, said
        with h5py.File(OUT) as file:
            error = [text.decode() for text in file["cells"]["error"]]
            assert error[0] == error[2] == error[3] == "", error
            assert error[1] == "its process was ended by signal 9 (Killed)", error
            assert len(file["runs"]) == 3 and len(file["summary"]) == 9
        before = finished()
        assert len(before) == 3, before
        refused("go on with --resume", "c.yaml", "-q")
        run(0, "c.yaml", "-q", "--resume")
        with h5py.File(OUT) as file:
            assert len(file["runs"]) == 4
            assert all(times(file, one) == measured for one, measured in before.items())
        assert sorted(os.listdir(".")) == ["c.yaml", OUT]
        os.remove(OUT)
    write("c.yaml", ENDLESS)


def test_interrupt():
    """Ctrl-C keeps what is finished; meanwhile nobody else may work on it."""
    for sign in signal.SIGINT, signal.SIGTERM:
        process = start("c.yaml", "-q", "--jobs", "2")
        wait_for(lambda: len(finished_names()) == 3)
        before = finished()
        refused("another run is at work on it", "c.yaml", "-q", "--resume")
        # From a terminal it reaches all of them, from elsewhere the first.
        (os.killpg if sign == signal.SIGINT else os.kill)(process.pid, sign)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1, process.returncode
        assert said == ("moebal: stopped on request; %s was not written: 3 of 4 cells are done, "
                        "--resume goes on\n" % OUT), said
        assert finished() == before
        assert not os.path.exists(OUT)
        refused("go on with --resume", "c.yaml", "-q")
        refused("is of another run: it lacks 'seed: 2'", "c.yaml", "-q", "--resume", "--set", "seed=2")
        assert finished() == before
        for name in os.listdir(PARTS):
            os.remove(os.path.join(PARTS, name))
        os.rmdir(PARTS)


def test_refusals():
    """An edited config, and results that nothing has to be done for."""
    write("c.yaml", CONFIG)
    process = start("c.yaml", "-q", "--jobs", "1")
    wait_for(lambda: len(finished_names()) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = finished()
    assert before
    write("c.yaml", CONFIG.replace("window: 15", "window: 16"))
    refused("window: 15", "c.yaml", "-q", "--resume")
    assert finished() == before
    write("c.yaml", CONFIG)
    run(1, "c.yaml", "-q", "--resume")
    inode = os.stat(OUT).st_ino
    run(1, "c.yaml", "-q", "--resume")
    assert os.stat(OUT).st_ino == inode, "what is complete was made again"
    os.remove(OUT)


def test_changed_trace():
    """Results of a trace that was recorded anew are made anew."""
    def generate(seed):
        subprocess.run([MOEBAL, "trace", "generate", "-g", "domains", "-S", str(seed), "-o", "t.h5",
                        *(word for key in ("steps=60", "layers=3", "experts=16", "top_k=2")
                          for word in ("--set", key))], check=True, stdout=subprocess.DEVNULL)

    generate(1)
    write("c.yaml", re.sub("trace: .*", "trace: {file: t.h5}", ENDLESS)
          .replace("trace.generate.steps: [60, 1e8, 70, 80]", "schedule.interval: [5, 10]"))
    run(0, "c.yaml", "-q")
    first = datasets()
    inode = os.stat(OUT).st_ino
    run(0, "c.yaml", "-q", "--resume")
    assert os.stat(OUT).st_ino == inode, "what is complete was made again"
    generate(2)
    run(0, "c.yaml", "-q", "--resume")
    assert datasets() != first, "results of a trace that is no more"
    os.remove(OUT)
    os.remove("t.h5")


def test_full_disk(expected):
    """A disk that is full ends the sweep in a line; with room, it goes on."""
    # Room for each part, but not for all in one.
    make_parts()
    before = finished()
    size = max(os.path.getsize(os.path.join(PARTS, name)) for name in finished_names()) * 2
    # libhdf5's crash is expected, and none that a sanitizer has to tell of.
    asan = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"
    refused("8 of 12 cells are done, --resume goes on", "c.yaml", "-q", "--resume",
            env=dict(os.environ, ASAN_OPTIONS=asan), preexec_fn=lambda:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    assert not os.path.exists(OUT) and len(finished_names()) == 8
    assert not any(".part-" in name for name in os.listdir(PARTS)), os.listdir(PARTS)
    run(1, "c.yaml", "-q", "--resume")
    check_same(expected, before, "a full disk")
    remove_all()

    write("c.yaml", ENDLESS.replace("1e8", "20000"))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))

    refused("File too large; ", "c.yaml", "-q", "--jobs", "1", preexec_fn=limit)
    assert len(finished_names()) == 1 and not os.path.exists(OUT)
    before = finished()
    run(0, "c.yaml", "-q", "--resume")
    with h5py.File(OUT) as file:
        assert len(file["runs"]) == 4
        assert all(times(file, one) == measured for one, measured in before.items())
    os.remove(OUT)


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(time.time())
    n_kills = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    print("seed %d" % seed)
    random.seed(seed)
    write("c.yaml", CONFIG)
    expected = test_jobs()
    test_kills(expected, n_kills)
    test_end(expected, max(n_kills // 10, 1))
    test_beginning(expected)
    test_full_disk(expected)
    test_refusals()
    test_changed_trace()
    test_worker_dies()
    test_interrupt()


main()
