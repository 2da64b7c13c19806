"""Prints the event of a packed directory. A path may contain quotes, so this is left to a JSON library."""

import json
import os
import sys

path, archive = sys.argv[1:]
print(json.dumps({"path": path, "bytes": os.path.getsize(archive)}))
