# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# End process group $1: asked first, killed after a grace of $2 tenths of a second.
bo_end_group() {
  kill -TERM "-$1" 2>/dev/null || return 0
  bo_try=0
  while kill -0 "-$1" 2>/dev/null && [ $bo_try -lt "$2" ]; do
    sleep 0.1 2>/dev/null || sleep 1
    bo_try=$((bo_try + 1))
  done
  kill -KILL "-$1" 2>/dev/null || :
}
