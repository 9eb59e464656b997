# What the tests of commands share. CYGNET, CYGNET_RUN, MAKE_PACKAGE, SOURCE_ROOT come from meson.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
unset CYGNET_CPU CYGNET_THREADS
# LeakSanitizer cannot look at a process that is being signalled; everything else stays on.
python=$(command -v python3 || true)

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# run WANTED_STATUS WORDS...: runs cygnet; standard output in ./out, standard error in ./err.
run() {
    wanted=$1
    shift
    "$CYGNET" "$@" >out 2>err
    status=$?
    if [ $status -ne "$wanted" ]; then
        fail "cygnet $*: exit status $status, expected $wanted"
        sed 's/^/    /' err | head -5
    fi
}

# A failure is exactly one error, with nothing on standard output, and these words in it.
refused() {
    wanted=$1 words=$2
    shift 2
    run "$wanted" "$@"
    [ "$(grep -c '^error: ' err)" -eq 1 ] || fail "cygnet $*: expected one error, found: $(cat err)"
    grep -qF -- "$words" err || fail "cygnet $*: expected \"$words\" in: $(cat err)"
    [ -s out ] && fail "cygnet $*: something on standard output: $(head -2 out)"
    leftovers "$*"
}

says() {
    grep -qF -- "$1" out || fail "expected \"$1\" in: $(head -20 out)"
}

leftovers() {
    found=$(find . -name '*.partial-*' -o -name '*.tmp*' | head -3)
    [ -z "$found" ] || fail "$1: left behind: $found"
}

# Standard output is one JSON object, and the expression over it (as d) holds.
json() {
    [ -n "$python" ] || return 0
    "$python" -c "import json, sys
d = json.load(open('out'))
sys.exit(0 if ($1) else 1)" || fail "JSON: $1: $(head -c 300 out)"
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
    exit 0
}
