#!/usr/bin/env bash
# onvif-m-producer 0.1.0 (PyPI): a frame's UtcTime is the wall clock of whatever zone the datetime has, with a Z behind it.
# 09:00 at +02:00 is 07:00 UTC; it writes 09:00:00.000Z, two hours late. (Its docstring: "xs:dateTime in UTC".)
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check onvif-m-producer==0.1.0
said=$("$folder/env/bin/python" - <<'PY'
from datetime import datetime, timedelta, timezone

from onvif_m.metadata import build_frame

print(build_frame(datetime(2026, 11, 21, 9, 0, tzinfo=timezone(timedelta(hours=2))), "s", [])["@UtcTime"])
PY
)
echo "onvif-m-producer 0.1.0: 2026-11-21 09:00 +02:00 is written as UtcTime=$said (07:00:00.000Z is meant)"
[[ $said == 2026-11-21T09:00:00.000Z ]]
