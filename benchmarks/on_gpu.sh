#!/bin/sh
# Measures, on one NVIDIA GPU, what cannot be measured on a CPU: the shares of the GPU's
# peak that training and sampling reach, the comparison with PyTorch, and the choice
# between implementations of single layers. Most of the time goes into compiling.
#
#     benchmarks/on_gpu.sh                              all parts, up to 25 minutes
#     benchmarks/on_gpu.sh peak:30 sampling:130         these, with other time limits
#     benchmarks/on_gpu.sh --rehearse                   all parts, tiny, on the CPU
#
# PYTHON (default: python3) needs JAX, Flax and Optax, and PyTorch for the comparison;
# nothing is installed, and the package is found from here. Without a GPU it rehearses.
#
# The results are $OUT/on_gpu.json (default of OUT: benchmarks/results/gpu), or
# rehearsal.json without a GPU, with one entry per part and the device of each. A part is
# written after every measurement, and replaces its older entry only. $OUT also holds
# traces, trace_*.xplane.pb.gz, and on_gpu.log, the output of all parts.
#
# Each part is a process of its own, which is ended if it runs over its time. The exit
# status is the number of parts that failed.
set -u

root=$(cd "$(dirname "$0")/.." && pwd) || exit 64
OUT=${OUT:-$root/benchmarks/results/gpu}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || exit 64
log=$OUT/on_gpu.log
: >"$log" || exit 64

if [ "${1:-}" = --rehearse ]; then
    export JAX_PLATFORMS=cpu
    shift
fi
# The time by which a part has to end, in seconds from the start: it may use what the
# parts before it have left.
[ $# -gt 0 ] || set -- peak:30 sampling:130 depthwise:250 trace:450 attention:600 \
    cifar:1050 celeba:1500

# Parts share compiled programs. PyTorch needs memory that JAX would reserve.
cache=$(mktemp -d) || exit 64
export JAX_COMPILATION_CACHE_DIR="$cache/jax" TORCHINDUCTOR_CACHE_DIR="$cache/torch"
export XLA_PYTHON_CLIENT_PREALLOCATE=false PYTHONUNBUFFERED=1
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

child=
trap 'rm -rf "$cache"' EXIT
trap '[ -z "$child" ] || kill "$child"; exit 130' HUP INT TERM

cd "$root" || exit 64
start=$(date +%s)
failed=0
for entry; do
    part=${entry%:*}
    left=$((${entry#*:} - $(date +%s) + start))
    status=124
    began=$(date +%s)
    echo "== $part, at most $left seconds" >>"$log"
    if [ "$left" -gt 0 ]; then
        timeout -k 5 "$left" "${PYTHON:-python3}" -m benchmarks.on_gpu "$part" \
            --out="$OUT" --seconds="$left" >>"$log" 2>&1 &
        child=$!
        wait "$child"
        status=$?
        child=
    fi
    case $status in
    0) outcome=measured ;;
    124 | 137) outcome='out of time' ;;
    *) outcome="failed with status $status: $(tail -n 1 "$log")" ;;
    esac
    [ "$status" -eq 0 ] || failed=$((failed + 1))
    echo "$part: $outcome ($(($(date +%s) - began)) s)"
done
echo "results in $OUT; $failed of $# parts failed"
exit "$failed"
