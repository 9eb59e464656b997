# Commands on a package whose steps run on the simulated NPU.
. "$(dirname "$0")/common.sh"

"$MAKE_NPU_PACKAGE" 2 attention || fail "cannot make a package"
mkdir in && cp attention.in in/qkv.bin

# run: the bytes of one kernel call on the whole, in every order.
for order in program reverse random:3 starve:4; do
    run 0 run --model attention.cyg --input_dir in --output_dir "out-$order" --sim_order $order --sim_check
    cmp attention.out "out-$order/y.bin" || fail "order $order gives other bytes"
done
run 0 run --json --model attention.cyg --input_dir in --output_dir again
json 'd["cycles"] > 0 and d["estimated_ms"] > 0 and len(d["outputs"]) == 1'
refused 2 'no order of simulation' run --model attention.cyg --input_dir in --output_dir x --sim_order sideways

# bench: the estimate beside the simulation's own times.
run 0 bench -m attention.cyg -r 3 -w 1
says 'AX650 NPU1, simulated on CPU'
says 'Estimate for AX650 NPU1:'
run 0 bench -m attention.cyg -r 3 --json
json 'd["target"] == "AX650" and d["npu_mode"] == "NPU1" and d["cycles"] == '"$("$CYGNET" bench -m attention.cyg --json | sed 's/.*"cycles": *\([0-9]*\).*/\1/')"
json '0 < d["conv_utilisation"] < 1 and d["ddr_bytes"] > 1728 and d["ocm_peak_bytes"] == 16384'
run 0 bench -m attention.cyg --profile
says 'npu           subgraph_npu_0'

# inspect: the subgraph, and its instructions.
run 0 inspect attention.cyg
says 'subgraph_npu_0 for npu: program 0, steps 0 to 0'
says 'taps '
run 0 inspect attention.cyg --json
json 'd["subgraphs"][0]["executor"] == "npu" and [t["kind"] for t in d["tensors"]].count("inner") == 1'
run 0 inspect --disasm attention.cyg
says 'npu "AX650" "NPU1" machine 0x'
says 'teng2 teng.weigh step 0 tile 1 wait conv1 1, sdma4 3'
says 'tap step 0 output 0 at ocm[0x1180] bytes 576'
says 'conv0 conv.pv step 0 tile 0 tap 0 wait'
says '# tap 0, output 0 of step 0: 2 pieces, whole when conv0 2, conv1 2'
says '# step 0: output 0 of conv.qk never exists whole: 2 pieces of up to 1296 bytes, each used up by teng.weigh'

# Every tensor from inside, in any order; a package that does not say where they lie is refused.
for order in program reverse; do
    run 0 run --model attention.cyg --input_dir in --output_dir "layers-$order" --enable_perlayer_output --sim_order $order
    test -f "layers-$order/tensors.json" || fail "no tensors.json"
    cmp attention.out "layers-$order/y.bin" || fail "the tensor from inside differs"
done
"$MAKE_NPU_PACKAGE" 3 rows || fail "cannot make a package"
mkdir rows-in && cp rows.in rows-in/x.bin
run 0 run --model rows.cyg --input_dir rows-in --output_dir rows-out --enable_perlayer_output --json
test "$(wc -c <rows-out/left.bin)" = 144 || fail "the first step's tensor is missing"
cmp rows.out rows-out/y.bin || fail "the second step's tensor differs"
refused 2 'leave --json out' inspect --disasm --json attention.cyg
refused 2 'no package' inspect --disasm attention.in

# The bare runtime has no NPU, and says so; a CPU package takes no order.
"$CYGNET_RUN" attention.cyg >out 2>err && fail "cygnet-run ran an NPU package"
grep -qF 'needs executor "npu"' err || fail "cygnet-run: $(cat err)"
"$MAKE_PACKAGE" plain cpu.cyg || fail "cannot make a package"
run 0 run --model cpu.cyg --input_dir cpu --output_dir cpu-out --random_input --sim_check
grep -qF 'has no NPU subgraphs' err || fail "no word about --sim_check: $(cat err)"
finish
