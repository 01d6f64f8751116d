#!/usr/bin/env bash
# Measures togi's training and answering on this machine's GPU, beside transformers and PEFT, in one call of under ten minutes.
#
#   tests/bench/gpu.sh TOGI [OUT]
#
# TOGI is a binary built with --features cuda; OUT (default ./gpu-bench) takes what is printed, one JSON object a line in results.jsonl.
# PYTHON (default python3) with torch, transformers and peft measures the peer; without them that part is left out and said so.
# TESTS, a test binary of the library built with --features cuda (cargo test --features cuda --lib --no-run names it), first compares
# every family's loss and gradients on the GPU with the processor's.
# BUDGET is the seconds after which no further measurement is begun (default 540).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
togi=${1:?the togi binary to measure}
out=${2:-gpu-bench}
python=${PYTHON:-python3}
budget=${BUDGET:-540}
mkdir -p "$out"
results=$out/results.jsonl
: >"$results"
started=$SECONDS
left() { echo $((budget - (SECONDS - started))); }
say() { printf '\n== %4d s  %s\n' $((SECONDS - started)) "$*"; }

say "the machine"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv
"$togi" doctor

if [ -n "${TESTS:-}" ]; then
    say "every family against the processor"
    said=failed
    TOGI_TEST_GPU=1 TOGI_REQUIRE_GPU=1 timeout "$(left)" "$TESTS" train::device model::device --test-threads 1 \
        >"$out/families.txt" 2>&1 && said=passed
    tail -n 40 "$out/families.txt"
    echo "{\"what\": \"every family against the processor\", \"tests\": \"$said\"}" | tee -a "$results"
fi

busy() { # FILE: the GPU's own word on how busy it is, five times a second until killed
    exec nvidia-smi --query-gpu=timestamp,utilization.gpu --format=csv,noheader,nounits -lms 200 >"$1"
}

figure() { # NAME: a number of the measurement in one.json
    sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$out/one.json" | head -n 1
}

clock() { # SECONDS since 1970: the same moment as nvidia-smi writes it
    date -d "@$1" '+%Y/%m/%d %H:%M:%S.%3N'
}

busy_in_steps() { # the mean of the samples that were taken while the steps that count ran; nothing where there are none
    local from to
    from=$(figure steps_began_s)
    to=$(figure steps_ended_s)
    [ -n "$from" ] && [ -n "$to" ] || return
    # A sample tells of the time before it, up to a second on some GPUs: the steps that warm up lie there, and are steps as well.
    awk -F', *' -v from="$(clock "$from")" -v to="$(clock "$to")" \
        '$1 "" >= from && $1 "" <= to { s += $2; n++ } END { if (n) printf "%.0f", s / n }' "$out/busy.txt"
}

ours() { # NAME ARGUMENTS…
    local name=$1
    shift
    [ "$(left)" -gt 20 ] || { echo "no time left for $name"; return; }
    say "togi: $name"
    busy "$out/busy.txt" &
    local sampler=$! share
    timeout "$(left)" "$togi" bench --gpu "$@" --json | tee "$out/one.json"
    kill "$sampler" 2>/dev/null
    wait "$sampler" 2>/dev/null
    share=$(busy_in_steps)
    if [ -n "$share" ]; then
        echo "busy during the steps: $share %"
        share=", \"busy_percent\": $share"
    else
        echo "the steps were too short to sample how busy the GPU was"
    fi
    sed "s/^{/{\"what\": \"$name\"$share, /" "$out/one.json" >>"$results"
}

theirs() { # NAME ARGUMENTS…
    local name=$1
    shift
    [ "$(left)" -gt 30 ] || { echo "no time left for $name"; return; }
    "$python" -c 'import torch, transformers, peft' 2>/dev/null || { echo "PEFT is not here: $name is left out"; return; }
    say "PEFT: $name"
    timeout "$(left)" "$python" "$here/peft_shape.py" "$@" | tee "$out/one.json"
    sed "s/^{/{\"what\": \"$name\", /" "$out/one.json" >>"$results"
}

for shape in smollm2-135m llama-3.2-1b qwen2.5-1.5b qwen2.5-7b; do
    # So many steps that they last some seconds, which is what sampling how busy the GPU is takes.
    batch=64 runs=30 compare=
    case $shape in
    smollm2-135m) runs=100 compare=--compare ;;
    qwen2.5-7b) batch=16 runs=10 ;;
    esac
    ours "$shape" --shape "$shape" --batch $batch --shortest 128 --length 512 --runs $runs $compare
    theirs "$shape" --shape "$shape" --batch $batch --shortest 128 --length 512
done
ours "smollm2-135m in passes of 2,048" --shape smollm2-135m --batch 64 --shortest 128 --length 512 --runs 60 --pass-tokens 2048
ours "smollm2-135m f32" --shape smollm2-135m --batch 16 --length 256 --runs 5 --f32 --compare
ours "qwen2.5-7b checkpointing" --shape qwen2.5-7b --batch 16 --shortest 128 --length 512 --runs 5 --checkpointing
say "done; results in $results"
