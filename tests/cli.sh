# What the cli_*.sh tests share: a folder of their own, running moebal, and looking at what it said.
# Sourced, with `words` set to what stands before the arguments of every run: "trace", "plot" or "".

moebal=${MOEBAL:?the program to test}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit
# Threads that wait without spinning: tests share their cores.
OMP_WAIT_POLICY=passive
export OMP_WAIT_POLICY

fail() {
  echo "$(basename "$0" .sh): $*" >&2
  sed 's/^/  | /' out err >&2
  exit 1
}

# run STATUS ARGUMENT...: runs `moebal WORDS ARGUMENT...`; standard output and error go to out, err.
run() {
  expected=$1
  shift
  status=0
  "$moebal" $words "$@" >out 2>err || status=$?
  [ "$status" -eq "$expected" ] || fail "$words $*: exit status $status, not $expected"
}

# refuses STATUS TEXT ARGUMENT...: one line on standard error, with TEXT in it, and nothing else.
refuses() {
  run_status=$1
  text=$2
  shift 2
  run "$run_status" "$@"
  [ ! -s out ] || fail "$words $*: something on standard output"
  one_line "$words $*" "$text"
}

# one_line WHAT TEXT: err is one line, with TEXT in it.
one_line() {
  # Where the command line itself is wrong, argp adds a sentence that points to --help.
  sed -e '/^Try `moebal/d' -e '/^information\.$/d' err >said
  [ "$(wc -l <said)" -eq 1 ] || fail "$1: not one line"
  grep -qF -e "$2" said || fail "$1: not '$2'"
}

says() {
  grep -qF -e "$1" out || fail "not '$1'"
}
