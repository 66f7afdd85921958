#!/bin/sh
# The page of `moebal report` in headless Chromium.
set -eu
source=${MOEBAL_SOURCE:?the project\'s folder}
. "$source/tests/python.sh"
need_python selenium h5py
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome || echo chromium)
CHROMEDRIVER=$(command -v chromedriver || echo chromedriver)
export CHROMIUM CHROMEDRIVER
for program in "$CHROMIUM" "$CHROMEDRIVER" gnuplot; do
  if ! command -v "$program" >/dev/null; then
    echo "skipped: $program is not installed"
    exit 77
  fi
done
"$python" "$source/tests/report_browser.py"
