#!/bin/sh
# Compiles C files on whichever machines are free, and links them here.
# Usage: build_farm.sh PROGRAM FILE.c…
#
# Sources are preprocessed here, so that no machine needs the headers or a shared file system; all of
# them need a compiler for the same architecture. What was compiled is known by its contents: the same
# source is not compiled again for as long as the grid remembers its key (7 days at least).
set -eu
[ $# -ge 2 ] || { echo 'usage: build_farm.sh PROGRAM FILE.c…' >&2; exit 2; }
program=$1
shift
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

number=0
for source; do
  number=$((number + 1))
  cc -O2 -E "$source" > "$objects/$number.i"
  contents=$(sha256sum < "$objects/$number.i")
  job=$(zgrid submit workflow compile --text "@$objects/$number.i" --detach \
    --key "compile/$(uname -m)/${contents%% *}")
  echo "$job $number $source" >> "$objects/jobs"
done

while read -r job number source; do
  # Waits for it. What the compiler has to say comes with the job's failure.
  if ! zgrid wait "$job" || ! zgrid result "$job" > "$objects/$number.o"; then
    echo "build_farm: $source was not compiled" >&2
    exit 1
  fi
done < "$objects/jobs"
cc -o "$program" "$objects"/*.o
