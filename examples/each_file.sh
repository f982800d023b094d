#!/bin/sh
# One job for each file, on whichever machines are free; results go to OUT/NAME.txt.
# Usage: each_file.sh OUT FILE…
#
# Repeat the command after an interruption: the key makes the same job of the same file, so what was
# submitted before is not done twice. A file that changed since is a conflict (exit 65).
set -eu
[ $# -ge 2 ] || { echo 'usage: each_file.sh OUT FILE…' >&2; exit 2; }
out=$1
shift
mkdir -p "$out"
run=each-file-$(basename "$out")

for file; do
  job=$(zgrid submit workflow word-count --text "@$file" --run "$run" --key "$run/$file" --detach)
  echo "$job $(basename "$file")"
done > "$out/jobs"

# Waits for all of them, and exits as they did; what succeeded is there in any case.
code=0
zgrid wait --run "$run" || code=$?
while read -r job name; do
  # Written beside and renamed, so that there is never half a result.
  if zgrid result "$job" > "$out/.$name.part"; then
    mv "$out/.$name.part" "$out/$name.txt"
  else
    rm -f "$out/.$name.part"
    echo "no result for $name (job $job)" >&2
  fi
done < "$out/jobs"
exit "$code"
