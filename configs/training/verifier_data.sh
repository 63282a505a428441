#!/usr/bin/env bash
# Makes the pictures of the bundled verifier: verifier_data.sh DIR   Goes on where it stopped. Half an hour of one core.
# 240 people of the hall, 240 of the garage, 36 of each of 40 random domains; other people judge.
set -euo pipefail
out=${1:?usage: verifier_data.sh DIR}

crops() {
  local folder=$1; shift
  [[ -e $folder/attributes.jsonl ]] || musewatch world crops "$folder" --size 96x192 --texts 1 --no-masks "$@"
}

crops "$out/hall-train" --domain hall --split train --seed 7000 --people 240
crops "$out/garage-train" --domain garage --split train --seed 7001 --people 240
crops "$out/judge/calibrate" --domain random-9001 --split calibrate --seed 0 --people 120
for domain in street night park; do crops "$out/judge/$domain" --domain "$domain" --split test --seed 0 --people 120; done
for k in $(seq 0 39); do
  kind=()
  case $((k % 11)) in
    2) kind=(--hard like-clothes) ;;
    4) kind=(--scene street-night --style night) ;;
    6) kind=(--hard low-light) ;;
    9) kind=(--hard groups) ;;
  esac
  crops "$out/broad/random-$((2000 + k))" --domain "random-$((2000 + k))" --split train --seed $((2000 + k)) --people 36 --per-camera 3 "${kind[@]}"
done
