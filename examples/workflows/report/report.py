"""Makes the report of one night, and counts the nights that are left."""

import json
import shutil
import sys

night = json.load(sys.stdin)
usage = shutil.disk_usage(night["path"])
text = f"{night['path']} is {100 * usage.used // usage.total} % full"
print(json.dumps({"type": "Report", "value": {"text": text}}))
reported = {"nights": night["nights"] - 1, "path": night["path"], "last": text}
print(json.dumps({"type": "Reported", "value": reported}))
