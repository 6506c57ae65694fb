# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# Take the lease away from whoever has it: 75 it is not the one that was looked at, 79 a command
# is alive here, of the run `only` or of any. By force (force is not empty) that is ended first, when nothing more can begin.
ours || exit 75
alive=$(living '' "$only")
if [ -n "$alive" ] && [ -z "$force" ]; then echo "$alive"; exit 79; fi
[ ! -d "$home/lock" ] || echo taken >"$home/lock/token"
if [ -n "$alive" ]; then
  echo "$alive" | while IFS='= ' read -r field pid rest; do bo_end_group "$pid" "$grace"; done
  alive=$(living '' "$only")
  if [ -n "$alive" ]; then echo "$alive"; exit 79; fi
fi
# Once more where a late writer was just putting something into it.
rm -rf "$home/lock" 2>/dev/null || rm -rf "$home/lock"
