#!/bin/sh
# What all machines' logs complain about, the most frequent first, with the number of machines.
# Usage: log_digest.sh [PATTERN]     (such as '/var/log/*.log'; without one: the journals of a day)
set -eu

# In a pipe, each line of a broadcast's output begins with the name of its machine.
zgrid submit workflow log-digest --on all --text "${1-}" |
  awk -F '\t' '
    NF > 1 {
      machine = $1
      sub(/: [0-9]+$/, "", machine)
      count = $1
      sub(/.*: /, "", count)
      total[$2] += count
      machines[$2] = machines[$2] " " machine
    }
    END {
      for (message in total) {
        n = split(substr(machines[message], 2), names, " ")
        printf "%7d  on %d (%s)  %s\n", total[message], n, names[1] (n > 1 ? ", …" : ""), message
      }
    }' | sort -rn
