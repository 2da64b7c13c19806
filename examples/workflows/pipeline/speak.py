"""Shows the text word by word, as a language model would. Python's `-u` has each line leave at once."""

import json
import sys
import time

text = json.load(sys.stdin)["text"]
words = text.split()
for word in words:
    print(json.dumps({"type": "Word", "value": {"text": word}}))
    time.sleep(0.02)
print(json.dumps({"type": "Counted", "value": {"words": len(words), "text": text}}))
