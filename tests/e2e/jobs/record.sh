# record.sh CODE: notes the start of an attempt, puts stdin into $text, and runs CODE.
echo "$ZGRID_JOB $ZGRID_ATTEMPT $ZGRID_WORKER $(date +%s.%N) $$" >> starts
text=$(cat)
eval "$1"
