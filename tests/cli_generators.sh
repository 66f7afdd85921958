# tests/cli_generators.sh - every generator that is listed writes a trace in which all is right; the
# one with sources writes them.
set -eu
moebal=${MOEBAL:?}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

"$moebal" list generators >list
names=$(sed -n 's/^\([a-z][a-z-]*\): .*/\1/p' list)
n=0
for name in $names; do
  "$moebal" trace generate -g "$name" -m gpt-oss-20b -s steps=30 -s layers=3 -o "$name.h5" >out
  grep -q "30 steps x 3 layers x 32 experts, synthetic" out || fail "$name: $(cat out)"
  "$moebal" trace verify "$name.h5" >out || fail "$name: $(cat out)"
  "$moebal" trace info "$name.h5" >out
  grep -q "generator $name," out || fail "$name: not said in the source"
  grep -q "^  ok  .*no expert has more loads" out || fail "$name: $(cat out)"
  if grep -q WRONG out; then fail "$name: found wrong"; fi
  n=$((n + 1))
done
test "$n" -ge 6 || fail "only $n generators: $names"
for word in sigma utilisation; do grep -q "^  $word " list || fail "no parameter $word"; done
test "$(grep -c "^  model " list)" = 1 || fail "model is not listed once"

"$moebal" trace generate -g requests -m gpt-oss-20b -s steps=40 -s layers=2 -s dp_ranks=4 \
  -s phase=mixed -o ranks.h5 >out
"$moebal" trace info ranks.h5 >out
grep -q "^ranks *4, attention_dp" out || fail "no ranks: $(cat out)"
grep -q "/step_phase /load_by_source /tokens" out || fail "no sources: $(cat out)"
grep -q "same in all layers, and top_k x tokens" out || fail "tokens: $(cat out)"

"$moebal" list models >models
for word in adrs kimi-k2 "23.6" aiconfigurator; do grep -q "$word" models || fail "no $word"; done
if grep -q '.\{101,\}' models list; then fail "lines of more than 100 columns"; fi
echo "ok: $n generators"
