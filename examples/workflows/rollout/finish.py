"""Collects what became of each device."""

import json
import sys

events = json.load(sys.stdin)
names = {"Updated": [], "Broken": []}
for event in events:
    names[event["type"]].append(event["value"]["device"])
print(json.dumps({"updated": names["Updated"], "failed": names["Broken"]}))
