#!/bin/sh
# Counts the words of a file on every machine of the grid and says which machine answered.
# Usage: on_every_machine.sh FILE
set -eu
: "${1:?usage: on_every_machine.sh FILE}"

# In a pipe, each line of a broadcast's output begins with the name of its machine.
zgrid submit workflow word-count --on all --text "@$1" |
  while IFS=: read -r machine counts; do
    printf '%-20s %s\n' "$machine" "$counts"
  done
