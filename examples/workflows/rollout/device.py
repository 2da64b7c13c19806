"""What stands for talking to a device: here the device `broken` refuses every version."""

import sys


def update(device, version):
    print(f"{device}: installing {version}", file=sys.stderr)
    if device == "broken":
        sys.exit(f"{device} does not start with {version}")
