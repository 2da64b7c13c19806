"""Finds the hottest sensor; the run ends here if it is below the limit."""

import json
import os
import sys

readings = json.load(sys.stdin)
celsius = max(reading["celsius"] for reading in readings)
with open(os.environ["STEPRILL_STATE"]) as file:
    limit = json.load(file)["limit"]
if celsius > limit:
    print(json.dumps({"type": "Hot", "value": {"celsius": celsius}}))
else:
    print(json.dumps({"type": "Checked", "value": {"hottest": celsius, "opened": False}}))
