# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# A piece of a run's mirror. The caller gives home, notes (the run's folder), from (the first byte,
# counted from 1) and size.
[ ! -f "$home/notes/$notes/mirror" ] || tail -c "+$from" "$home/notes/$notes/mirror" | head -c "$size"
