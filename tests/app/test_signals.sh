# Ctrl-C: exit status 130, one line, nothing left behind.
. "$SOURCE_ROOT/tests/app/common.sh"
"$MAKE_PACKAGE" plain p.cyg || exit 1
i=0
while [ $i -lt 400 ]; do
    echo "s$i"
    i=$((i + 1))
done >list.txt
run 0 run --model p.cyg --input_dir in --output_dir warm --list list.txt --random_input --quiet
"$CYGNET" bench -m p.cyg -r 1000000 -s 20 >out 2>err &
pid=$!
tries=0
until grep -q 'cmm size' out 2>/dev/null || [ $tries -ge 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
sleep 0.2
kill -INT $pid
wait $pid
status=$?
[ $status -eq 130 ] || fail "SIGINT: exit status $status"
grep -q '^error: cancelled' err || fail "SIGINT: $(cat err)"
"$CYGNET" run --model p.cyg --input_dir in --output_dir o --list list.txt >out 2>err &
pid=$!
kill -TERM $pid
wait $pid
status=$?
[ $status -eq 130 ] || [ $status -eq 0 ] || [ $status -eq 143 ] || fail "SIGTERM: exit status $status"
leftovers signals
for file in o/*/*; do
    [ -e "$file" ] || continue
    [ "$(wc -c <"$file")" -eq 768 ] || fail "$file is half-written"
done
finish
