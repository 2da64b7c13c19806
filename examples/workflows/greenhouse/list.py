"""Emits an event for each sensor, and keeps the limit in the state of the run for the step that judges."""

import json
import sys

check = json.load(sys.stdin)
print(json.dumps({"state": {"set": {"limit": check["limit"]}}}))
for sensor in check["sensors"]:
    print(json.dumps({"type": "Sensor", "value": {"sensor": sensor}}))
