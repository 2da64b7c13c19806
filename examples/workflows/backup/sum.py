"""Sums up: what was packed, and what was not."""

import json
import sys

events = json.load(sys.stdin)
packed = [event["value"] for event in events if event["type"] == "Packed"]
failed = [event["value"]["path"] for event in events if event["type"] == "Failed"]
print(json.dumps({"archives": len(packed), "bytes": sum(each["bytes"] for each in packed), "failed": failed}))
