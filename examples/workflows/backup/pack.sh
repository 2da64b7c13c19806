# Packs the directory $1 into the directory $2. The name of the archive does not depend on the attempt, and it appears
# only when it is whole.
set -eu
if [ ! -d "$1" ]; then
    echo "there is no directory $1" >&2
    exit 65 # no attempt will find it
fi
archive=$2/$(printf %s "$1" | sed 's|^/||; s|/|-|g').tar
trap 'rm -f "$archive.part"' EXIT
tar -cf "$archive.part" -C "$1" .
mv "$archive.part" "$archive"
exec python3 backup/packed.py "$1" "$archive"
