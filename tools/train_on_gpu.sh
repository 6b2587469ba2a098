#!/usr/bin/env bash
# Half an hour of one GPU, as docs/training.md tells it: language, eyes and autoencoder side by side, then all of them
# together with the hand. Goes on where it was interrupted. What comes out is in bfloat16, in files below 40 MB.
#
#   tools/train_on_gpu.sh DATA OUT [SECONDS]
#
# DATA holds recorded runs in three ways of seeing, and once more with their next screens to be drawn:
#   mmi data write demos --look elements --out DATA/elements.jsonl.gz
#   mmi data write demos --look both --side 256 --out DATA/both.jsonl.gz
#   mmi data write demos --look picture --side 256 --out DATA/picture.jsonl.gz
#   mmi data write demos --look both --side 256 --next-screens --out DATA/drawn.jsonl.gz
# SECONDS is for each of the two halves, 440 by default. Rendered screens need no data: they are drawn as they are read.
set -euo pipefail

data=$1 out=$2 seconds=${3:-440}
mkdir -p "$out"
train() { python3 -m mmi_agent.cli train "$@"; }
screens=$out/screens.json
echo '{"form": "screens", "count": 600000, "seed": 7, "asks": {"describe": 2, "read": 1, "locate": 2, "which": 1}}' > "$screens"

run() {  # in the background, with a log of its own
    local name=$1
    shift
    train "$@" --out "$out/$name" > "$out/$name.log" 2>&1 &
}

half() {
    [ -d "$out/$1-half" ] || train export "$out/$1" --out "$out/$1-half" --half
}

run language --weights base --rank 32 --lr 8e-4 --data "$data/elements.jsonl.gz" --batch 48 --rows 16 \
    --seconds $((seconds * 2 / 3)) --workers 5 --look-every 120
run eyes --weights base --recipe eyes --data "$screens" --batch 256 --rows 256 --row-tokens 336 --compile \
    --seconds "$seconds" --workers 8 --held-back 0.0003 --look-every 200
run autoencoder autoencoder --data "$screens=1" --data "$data/both.jsonl.gz=0.5" --batch 32 --echo 3 \
    --seconds $((seconds * 3 / 4)) --workers 4
wait

run all --recipe lora --rank 32 --also eyes --also looks --lr 4e-4 --batch 32 --rows 8 --seconds $((seconds * 3 / 4)) \
    --weights "$out/language/adapter" --weights "$out/eyes/adapter" --workers 6 --look-every 150 \
    --data "$data/elements.jsonl.gz=3" --data "$data/both.jsonl.gz=1.5" --data "$data/picture.jsonl.gz=2"
run hand --recipe hand --rank 32 --lr 6e-4 --batch 24 --rows 12 --seconds $((seconds * 3 / 4)) --workers 6 \
    --weights "$out/language/adapter" --weights "$out/eyes/adapter" --weights "$out/autoencoder/adapter" \
    --data "$data/drawn.jsonl.gz" --look-every 1000
wait

for name in language eyes all hand; do half "$name"; done
