#!/usr/bin/env bash
# Everything that needs a GPU, measured once within six minutes: one table on stdout and in build/device/table.md.
# Needs torch, safetensors and onnxruntime-gpu; TensorRT where it is installed. Without a GPU it says NOT RUN and ends with 0.
#   tests/device/run.sh            PYTHON=/path/to/python tests/device/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
[[ -n ${PYTHON:-} || -x $python ]] || python=python3
find_missing='from importlib.util import find_spec
print(*(name for name in ("cv2", "onnx", "onnxruntime", "pydantic", "safetensors", "torch") if find_spec(name) is None))'
if ! missing=$("$python" -c "$find_missing") || [[ -n $missing ]]; then
  echo "NOT RUN: $python lacks ${missing:-everything: it does not start}"
  exit 0
fi
exec "$python" -m tests.device.table
