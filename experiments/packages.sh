# What moebal is built with, by Debian's names, and how it gets there. Sourced by the scripts.

MOEBAL_PACKAGES="gcc make cmake pkg-config git libhdf5-dev libgsl-dev libyaml-dev libxxhash-dev
libjansson-dev libyajl-dev libzip-dev libdeflate-dev gnuplot-nox"
# For the tests alone: C++ for the emulator of CUDA, CUnit, GLPK for optima to compare with, Open
# MPI, which is wanted for sweeps on many machines only, and Python, by which they write traces and
# read results as a user would.
MOEBAL_TEST_PACKAGES="g++ libcunit1-dev libglpk-dev libopenmpi-dev openmpi-bin python3-h5py
python3-numpy python3-yaml"
# For one test: a browser and what drives it, in which the page of `moebal report` is read, pointed at
# and copied from. It is the largest of all, and not every Debian-like system has it by this name
# (Ubuntu's is a snap): where it cannot be had, that test says so and is skipped.
MOEBAL_BROWSER_PACKAGES="chromium chromium-driver python3-selenium"

# missing_packages NAME...: those that are not installed.
missing_packages() {
  for package in "$@"; do
    if ! dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii'; then
      printf '%s ' "$package"
    fi
  done
}

# want_packages NAME...: installs what is missing, or names it and goes on.
want_packages() {
  (need_packages "$@") || echo "not all there: $*; tests that need them are skipped" >&2
}

# need_packages NAME...: installs what is missing, or names it and stops.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    for tool in cc cmake pkg-config; do
      if ! command -v "$tool" >/dev/null; then
        echo "moebal needs these Debian packages, or what corresponds to them here: $*" >&2
        exit 1
      fi
    done
    return 0
  fi
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "these packages are missing, and there is no sudo to install them with: $missing" >&2
      echo "as root: apt-get install $missing" >&2
      exit 1
    fi
    as_root=sudo
  fi
  echo "installing: $missing"
  $as_root apt-get update -qq
  # shellcheck disable=SC2086 # one word a package
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}
