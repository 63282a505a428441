#!/usr/bin/env bash
# Makes the engines of engines/zoo again, from nothing: pictures, training, export behind the gate. Hours on two cores.
# Whatever is finished in build/ is left alone, and what was cut off goes on: repeat it until it is done.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PWD/.venv/bin:$PATH
configs=configs/training encoder=build/encoder detector=build/detector
judged=(hall street night infrared garage park)

trained() {  # JOB CONFIG RUN
  [[ -e $3/checkpoint/network.yaml ]] && return
  local again=()
  [[ -e $3/state.safetensors ]] && again=(--resume)
  musewatch train "$1" "$configs/$2.yaml" --out "$3" "${again[@]}"
}

frames() {  # FOLDER WORDS...
  [[ -e $detector/$1/.made ]] && return
  musewatch world frames "$detector/$1" "${@:2}"
  touch "$detector/$1/.made"
}

built() {  # RUN IMAGES
  musewatch engines build "$1/checkpoint" --images "$2" --labels "$2" --out engines/zoo
}

"$configs/encoder_data.sh" "$encoder"
trained encoder encoder_small "$encoder/small"
trained encoder encoder_small_fine "$encoder/small-fine"
trained encoder encoder_hall "$encoder/hall"

frames train --domain 0-47 --frames 100 --cameras 4
frames unseen --domain 900-904 --frames 30 --cameras 5 --split calibrate
for domain in "${judged[@]}"; do frames "test-$domain" --domain "$domain" --frames 60 --cameras 3 --split test; done
trained detector detector_nano "$detector/run"

built "$encoder/small-fine" "$encoder/judge/calibrate"
built "$encoder/hall" "$encoder/judge/calibrate"
built "$detector/run" "$detector/unseen"
