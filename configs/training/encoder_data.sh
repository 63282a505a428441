#!/usr/bin/env bash
# Makes the pictures of the bundled embedders: encoder_data.sh DIR [broad|judge|hall]...   Goes on where it stopped.
# 40 random domains x 72 people x 3 cameras x 4 = 34 560 crops at most, with what random domains lack: twins, darkness, infrared.
set -euo pipefail
out=${1:?usage: encoder_data.sh DIR [broad|judge|hall]...}
shift
parts=${*:-broad judge hall}

crops() {
  local folder=$1; shift
  [[ -e $folder/attributes.jsonl ]] || musewatch world crops "$folder" --size 96x192 --texts 1 --no-masks --per-camera 4 "$@"
}

broad() {
  local k kind
  for k in $(seq 0 39); do
    kind=()
    case $((k % 11)) in
      2) kind=(--hard like-clothes) ;;
      4) kind=(--scene street-night --style night) ;;
      6) kind=(--hard low-light) ;;
      8) kind=(--style infrared) ;;
      9) if ((k > 20)); then kind=(--scene street-night --style infrared); else kind=(--hard groups); fi ;;
    esac
    case $k in 7) kind=(--hard umbrellas) ;; 18) kind=(--hard wheels) ;; esac
    crops "$out/broad/random-$((1000 + k))" --domain "random-$((1000 + k))" --split train --seed $((1000 + k)) --people 72 "${kind[@]}"
  done
}

judge() {
  local domain
  crops "$out/judge/calibrate" --domain random-9001 --split calibrate --seed 0 --people 240
  for domain in street night hall infrared park; do
    crops "$out/judge/$domain" --domain "$domain" --split test --seed 0 --people 240
  done
}

hall() { crops "$out/hall-train" --domain hall --split train --seed 5000 --people 408 --per-camera 5; }

for part in $parts; do "$part"; done
