#!/bin/sh
# Installs libmoebal into an empty folder and builds the example of balancer/rebalance.h as a
# stranger would: with pkg-config, and with CMake's find_package(). The answer that it has to print
# is the one in DeepSeek EPLB's README.
set -eu
build=${MOEBAL_BUILD:?the folder that moebal was built in}
source=${MOEBAL_SOURCE:?the folder of its sources}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cached() { # the value of a variable of the build
  sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

compiler=$(cached CMAKE_C_COMPILER)
sanitizers=$(cached MB_SANITIZE)
flags=
[ -z "$sanitizers" ] || flags="-fsanitize=$sanitizers" # the library was built with them

cmake --install "$build" --prefix "$work/usr" --component libmoebal >/dev/null
# Moved once more: nothing in it may remember where it was installed.
mv "$work/usr" "$work/moved"
headers=$work/moved/include/moebal
(cd "$headers" && find . -type f | sort) >"$work/headers"
cat >"$work/headers.expected" <<'END'
./balancer/backend.h
./balancer/bounds.h
./balancer/pack.h
./balancer/packing_bound.h
./balancer/param.h
./balancer/placement.h
./balancer/planner.h
./balancer/rebalance.h
./balancer/split.h
./balancer/status.h
END
diff "$work/headers.expected" "$work/headers"

cat >"$work/expected" <<'END'
layer 0: slots hold experts 5 6 5 7 8 4 3 4 10 9 10 2 0 1 11 1
layer 1: slots hold experts 7 10 6 8 6 11 8 9 2 4 5 1 5 0 3 1
END
sed -n '/@code/,/@endcode/{/@code/d;/@endcode/d;s/^ \*$//;s/^ \* //;p;}' \
  "$headers/balancer/rebalance.h" >"$work/example.c"

PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name moebal.pc)")
export PKG_CONFIG_PATH
for static in '' --static; do
  # shellcheck disable=SC2046,SC2086 # words, as in the command that people type
  "$compiler" -std=c17 -Wall -Wextra -Wpedantic -Werror $flags "$work/example.c" \
    $(pkg-config --cflags --libs $static moebal) -o "$work/example"
  "$work/example" | diff "$work/expected" -
done

# Each header alone, in C and in C++.
while IFS= read -r header; do
  echo "#include \"${header#./}\"" >"$work/alone.c"
  "$compiler" -std=c17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$headers" "$work/alone.c"
  if command -v c++ >/dev/null; then
    c++ -x c++ -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$headers" "$work/alone.c"
  fi
done <"$work/headers"

cmake -S "$source/tests/consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$work/moved" \
  -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$flags" -DEXAMPLE="$work/example.c" >"$work/log" ||
  { cat "$work/log" && exit 1; }
cmake --build "$work/consumer" >"$work/log" || { cat "$work/log" && exit 1; }
"$work/consumer/consumer" | diff "$work/expected" -
