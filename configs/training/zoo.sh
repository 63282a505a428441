#!/usr/bin/env bash
# Makes the engines of engines/zoo again, from nothing: pictures, training, export behind the gate: zoo.sh [embedders|detector|verifier]...
# Hours on two cores. Whatever is finished in build/ is left alone, and what was cut off goes on: repeat it until it is done.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PWD/.venv/bin:$PATH
configs=configs/training encoder=build/encoder detector=build/detector verifier=build/verifier
parts=${*:-embedders detector verifier}

once() {  # FOLDER COMMAND...   what has ended well is not done again
  [[ -e $1/.made ]] && return
  "${@:2}"
  touch "$1/.made"
}

frames() { once "$1" musewatch world frames "$@"; }  # FOLDER OPTIONS...

trained() {  # JOB CONFIG RUN
  local again=()
  [[ -e $3/state.safetensors ]] && again=(--resume)
  once "$3" musewatch train "$1" "$configs/$2.yaml" --out "$3" --seed 0 "${again[@]}"
}

built() {  # RUN LABELLED OPTIONS...
  musewatch engines build "$1/checkpoint" --images "$2" --labels "$2" --out engines/zoo "${@:3}"
}

embedders() {
  "$configs/encoder_data.sh" "$encoder"
  trained encoder encoder_small "$encoder/small"
  trained encoder encoder_small_fine "$encoder/small-fine"
  trained encoder encoder_hall "$encoder/hall"
  built "$encoder/small-fine" "$encoder/judge/calibrate"
  built "$encoder/hall" "$encoder/judge/calibrate"
}

# 3,200 pictures to learn from, of 34 random domains; 150 choose the weights, 50 of each named domain judge them.
detector() {
  local domain
  frames "$detector/train" --domain 0-23
  frames "$detector/train-night" --domain 100-104 --frames 80 --seed 1 --scene street-night --style night
  frames "$detector/train-infrared" --domain 110-111 --frames 80 --seed 2 --style infrared
  frames "$detector/train-infrared-night" --domain 120-122 --frames 80 --seed 3 --scene street-night --style infrared
  frames "$detector/unseen" --domain 900-904 --frames 30 --cameras 5 --split calibrate
  for domain in hall street night infrared garage park; do
    frames "$detector/test-$domain" --domain "$domain" --frames 50 --cameras 3 --split test
  done
  trained detector detector_nano "$detector/run"
  built "$detector/run" "$detector/unseen"
  built "$detector/run" "$detector/unseen" --precision int8
}

# Hard pairs are those of the bundled embedder, which teaches the first steps.
verifier() {
  "$configs/verifier_data.sh" "$verifier"
  trained verifier verifier_small "$verifier/small"
  musewatch engines export "$verifier/small/checkpoint" --out engines/zoo
}

for part in $parts; do "$part"; done
