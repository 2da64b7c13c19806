"""Updates the first device. If that fails, the run ends with its error."""

import json
import sys

from device import update

first = json.load(sys.stdin)
update(first["device"], first["version"])
print(json.dumps(first))
