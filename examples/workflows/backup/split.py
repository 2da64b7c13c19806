"""Makes an event of each directory."""

import json
import sys

backup = json.load(sys.stdin)
print(json.dumps([{"path": path, "target": backup["target"]} for path in backup["directories"]]))
