"""Chooses the first device."""

import json
import sys

rollout = json.load(sys.stdin)
first, *others = rollout["devices"]
print(json.dumps({"device": first, "others": others, "version": rollout["version"]}))
