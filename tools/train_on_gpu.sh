#!/usr/bin/env bash
# Half an hour of one GPU, as docs/training.md tells it: language, eyes and autoencoder side by side, then all that reads
# and writes together, then the hand on top. The same command goes on where it was interrupted.
#
#   tools/train_on_gpu.sh DATA OUT [SECONDS]
#
# DATA holds recorded runs in three ways of seeing, and once more with their next screens to be drawn:
#   mmi data write demos --look elements --out DATA/elements.jsonl.gz
#   mmi data write demos --look both --side 256 --out DATA/both.jsonl.gz
#   mmi data write demos --look picture --side 256 --out DATA/picture.jsonl.gz
#   mmi data write demos --look both --side 256 --next-screens --out DATA/drawn.jsonl.gz
# SECONDS is for the first part, 440 by default; each of the others takes half of it. Rendered screens need no data: they
# are drawn as they are read. OUT/weights is what comes out, in bfloat16, in files below 40 MB.
set -euo pipefail

data=$1 out=$2 seconds=${3:-440}
mkdir -p "$out"
screens=$out/screens.json
echo '{"form": "screens", "count": 600000, "seed": 7, "asks": {"describe": 2, "read": 1, "locate": 2, "which": 1}}' > "$screens"
declare -A running=()

train() { python3 -m mmi_agent.cli train "$@"; }

begin() {  # NAME ARGUMENT...: in the background, with a log of its own
    local name=$1
    shift
    train "$@" --out "$out/$name" > "$out/$name.log" 2>&1 &
    running[$name]=$!
}

finish() {
    for name in "${!running[@]}"; do
        wait "${running[$name]}" || { echo "error: $name failed: $(tail -n 1 "$out/$name.log")" >&2; exit 1; }
        echo "$(tail -n 1 "$out/$name.log")"
    done
    running=()
}

begin language --weights base --rank 32 --lr 8e-4 --data "$data/elements.jsonl.gz" --batch 48 --rows 16 \
    --seconds $((seconds * 2 / 3)) --workers 5 --look-every 120
begin eyes --weights base --recipe eyes --data "$screens" --batch 256 --rows 256 --row-tokens 336 --compile \
    --seconds "$seconds" --workers 7 --held-back 0.0003 --look-every 200
begin autoencoder autoencoder --data "$screens=1" --data "$data/both.jsonl.gz=0.5" --batch 32 --echo 3 \
    --seconds $((seconds * 3 / 4)) --workers 4
finish

begin all --recipe lora --rank 32 --also eyes --also looks --lr 4e-4 --batch 32 --rows 8 --seconds $((seconds / 2)) \
    --weights "$out/language/adapter" --weights "$out/eyes/adapter" --workers 12 --look-every 150 \
    --data "$data/elements.jsonl.gz=3" --data "$data/both.jsonl.gz=1.5" --data "$data/picture.jsonl.gz=2"
finish

begin hand --recipe hand --rank 32 --lr 6e-4 --batch 24 --rows 12 --seconds $((seconds / 2)) --workers 12 \
    --weights "$out/all/adapter" --weights "$out/autoencoder/adapter" --data "$data/drawn.jsonl.gz" --look-every 1000
finish

[ -d "$out/weights" ] || train export "$out/hand" --out "$out/weights" --half
