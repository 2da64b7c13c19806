# Opens the vent if that was approved. A real one writes to a GPIO line here.
set -eu
[ "$1" = true ] && echo "opening the vent at $2 degrees" >&2
printf '{"hottest": %s, "opened": %s}\n' "$2" "$1"
