# Sourced by scripts that need Python.

# need_python MODULE...: sets python to one that has them all; where there is none, says so and
# leaves with 77. The system's own comes last: its packages are Debian's.
need_python() {
  for python in "${MOEBAL_PYTHON:-python3}" /usr/bin/python3; do
    if "$python" -c "import $(echo "$@" | tr ' ' ',')" 2>/dev/null; then
      return 0
    fi
  done
  echo "skipped: no Python here has $*"
  exit 77
}
