# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# What every text about a lease begins with, after the note's. The caller gives home.

# The lease, and what is alive here of other runs than $1, as lines.
show() {
  bo_booted; bo_clock
  echo "now=$(date +%s)"; echo "clock=$bo_now"; echo "boot=$bo_boot"
  if [ -d "$home/lock" ] && ! nobodys "$home/lock"; then
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

# The lease that we stand in goes in one step, which needs no room: its token is put away, if it is
# ours (75 it is not). What stands there after that is nobody's.
put_away() {
  found=; { IFS= read -r found <token; } 2>/dev/null || :
  [ "$found" = "$token" ] || return 75
  [ ! -e token ] || mv -f token taken
}
nobodys() { [ -e "$1/taken" ] && [ ! -e "$1/token" ]; }

# Clear what we stand in, and further files. A lease that stands in its place by now is not empty,
# and stays. Once more where a late writer was just putting something into it. What says that it is
# nobody's goes last, by its name.
clear_away() {
  for again in 1 2; do
    rm -f ./* "$@" || :
    ! rmdir "$home/lock" 2>/dev/null || return 0
  done
  [ ! -e token ]
}

vanish() { put_away && clear_away "$@"; }

# What is left of a lease that was given up is cleared by whoever comes next. But whoever took it
# away may still be ending what is alive here, and give it back.
tidy() {
  ! nobodys "$home/lock" || [ -n "$(living '')" ] ||
    (cd "$home/lock" && nobodys . && clear_away) 2>/dev/null || :
}

# A machine is marked when a run first comes to it, and once: that the mark is missing later means
# that notes were lost. The caller gives notes and began.
mark() {
  mine=$home/notes/$notes
  mkdir -p "$mine" || return
  [ -n "$began" ] || [ -e "$mine/boot" ] || {
    echo "$bo_boot" >"$mine/boot.new" && mv -f "$mine/boot.new" "$mine/boot"
  }
}
