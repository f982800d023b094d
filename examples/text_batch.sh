#!/bin/sh
# Scores every line of a file for how easily it is read, thousands at once, and writes a table.
# Usage: text_batch.sh LINES OUT     (OUT/scores.tsv: line, words, sentences, ease)
#
# Repeat the command after an interruption: the key makes each line the same job, so that only what is
# missing runs. A line without a word fails, and the others go on.
set -eu
[ $# -eq 2 ] || { echo 'usage: text_batch.sh LINES OUT' >&2; exit 2; }
lines=$1
out=$2
contents=$(sha256sum < "$lines")

code=0
zgrid submit workflow reading-ease --each-line "$lines" --out "$out" --progress \
  --key "reading-ease/${contents%% *}" || code=$?
# 1: some lines failed.
[ "$code" -le 1 ] || exit "$code"

for file in "$out"/*.out; do
  [ -e "$file" ] || continue
  printf '%s\t%s\n' "$(basename "$file" .out)" "$(cat "$file")"
done | sort -n > "$out/.scores.part"
mv "$out/.scores.part" "$out/scores.tsv"
exit "$code"
