#!/bin/sh
# The page of `moebal report` in headless Chromium.
set -eu
source=${MOEBAL_SOURCE:?the project\'s folder}
. "$source/tests/python.sh"
need_python selenium h5py
for program in chromium chromedriver gnuplot; do
  if ! command -v "$program" >/dev/null; then
    echo "skipped: $program is not installed"
    exit 77
  fi
done
"$python" "$source/tests/report_browser.py"
