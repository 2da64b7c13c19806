"""Updates one of the other devices."""

import json
import sys

from device import update

device = json.load(sys.stdin)
update(device["device"], device["version"])
print(json.dumps({"device": device["device"]}))
