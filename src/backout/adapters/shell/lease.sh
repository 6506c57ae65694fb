# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# What every text about a lease begins with, after the note's. The caller gives home.

# The lease, and what is alive here of other runs than $1, as lines.
show() {
  bo_booted; bo_clock
  echo "now=$(date +%s)"; echo "clock=$bo_now"; echo "boot=$bo_boot"
  if [ -d "$home/lock" ]; then
    for field in token owner run fence expires step; do
      value=; { while IFS= read -r line; do value=$line; done <"$home/lock/$field"; } 2>/dev/null || :
      echo "$field=$value"
    done
    echo "since=$(date -r "$home/lock/since" +%s 2>/dev/null || :)"
  fi
  living "$1"
}

# The commands that are alive under their notes: of other runs than $1, of run $2 if that is given.
living() {
  bo_booted
  for file in "$home"/notes/*/*.start; do
    bo_note=${file%.start} folder=${file%/*}
    [ -z "${2-}" ] || [ "${folder##*/}" = "$2" ] || continue
    [ "${folder##*/}" != "$1" ] && [ ! -e "$bo_note.end" ] && bo_read && bo_alive || continue
    since=$(date -r "$file" +%s 2>/dev/null) || since=0
    echo "alive=$bo_pid $since ${folder##*/} $bo_pid_step"
  done
}

# The caller gives token too. A lease that has it is ours.
ours() {
  found=; { IFS= read -r found <"$home/lock/token"; } 2>/dev/null || :
  [ "$found" = "$token" ]
}

# Take away the lease that we stand in, if it is ours, and further files: 75 it is not. One that
# stands in its place by now is not empty, and stays. Once more where a late writer was just putting
# something into it.
vanish() {
  found=; { IFS= read -r found <token; } 2>/dev/null || :
  [ "$found" = "$token" ] || return 75
  for again in 1 2; do
    rm -f ./* "$@"
    ! rmdir "$home/lock" 2>/dev/null || return 0
  done
  [ ! -e token ]
}
