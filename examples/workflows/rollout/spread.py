"""The first device is well: it counts as updated, and the others follow."""

import json
import sys

first = json.load(sys.stdin)
print(json.dumps({"type": "Updated", "value": {"device": first["device"]}}))
for device in first["others"]:
    print(json.dumps({"type": "Device", "value": {"device": device, "version": first["version"]}}))
