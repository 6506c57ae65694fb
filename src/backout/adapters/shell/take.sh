# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# Take the lease away from whoever has it: 75 it is not the one that was looked at, 79 a command
# is alive here, of the run `only` or of any. By force (force is not empty) that is ended, when
# nothing more can begin; what does not end keeps its lease.

# From here on it is this very lease, not one that stands in its place a moment later.
there=; ! cd "$home/lock" 2>/dev/null || there=1
ours || exit 75
alive=; [ -n "$force" ] || alive=$(living '' "$only")
if [ -n "$alive" ]; then echo "$alive"; exit 79; fi
[ -z "$there" ] || put_away || exit
[ -z "$force" ] || alive=$(living '' "$only")
if [ -n "$alive" ]; then
  echo "$alive" | while IFS='= ' read -r field pid rest; do bo_end_group "$pid" "$grace"; done
  alive=$(living '' "$only")
  if [ -n "$alive" ]; then mv -f taken token 2>/dev/null || :; echo "$alive"; exit 79; fi
fi
[ -z "$there" ] || clear_away
