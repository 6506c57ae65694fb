# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# What every text about a note begins with. Builtins only, for a fork on the host is what a
# command costs. The caller gives bo_mark, bo_folder, bo_note and bo_limit, and for a command
# under a lease bo_lock, bo_token, bo_ttl, bo_step, bo_wait and bo_lines.

# Which boot of the machine this is.
bo_booted() { bo_boot=-; { IFS= read -r bo_boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || :; }

# When process $1 started, as a word that only equals itself; empty when it is gone.
bo_started() {
  bo_start=; { IFS= read -r bo_start <"/proc/$1/stat"; } 2>/dev/null || :
  if [ -n "$bo_start" ]; then
    set -- ${bo_start##*) }
    case $1 in Z|X) bo_start= ;; *) bo_start=${20} ;; esac
  elif [ ! -e /proc/self/stat ]; then
    set -- $(LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null) ''
    bo_start=$1${2-}${3-}${4-}${5-}
  fi
}

# Seconds that go on whatever becomes of the wall clock.
bo_clock() {
  { read -r bo_now bo_rest </proc/uptime; } 2>/dev/null || bo_now=$(date +%s)
  bo_now=${bo_now%%.*}
}

# A note's start, which is whole or not there: its newline comes last.
bo_read() {
  bo_pid= bo_pid_boot= bo_pid_start= bo_pid_step=
  { read -r bo_pid bo_pid_boot bo_pid_start bo_pid_step <"$bo_note.start"; } 2>/dev/null && return
  bo_pid=
  return 1
}

# Whether the command whose start was read is alive, or a part of it is.
bo_alive() {
  [ -n "$bo_pid" ] && [ "$bo_pid_boot" = "$bo_boot" ] || return 1
  bo_started "$bo_pid"
  if [ -n "$bo_start" ]; then [ "$bo_start" = "$bo_pid_start" ]
  else kill -0 "-$bo_pid" 2>/dev/null && bo_peopled "$bo_pid"; fi
}

# Whether somebody in process group $1 still runs: the dead may wait there to be buried.
bo_peopled() {
  [ -e /proc/self/stat ] || return 0
  bo_group=$1
  for bo_file in /proc/[0-9]*/stat; do
    bo_line=; { IFS= read -r bo_line <"$bo_file"; } 2>/dev/null || continue
    set -- ${bo_line##*) }
    case $3/$1 in "$bo_group"/[ZX]) ;; "$bo_group"/*) return 0 ;; esac
  done
  return 1
}

bo_ended() {
  bo_code= bo_rest=; { read -r bo_code bo_rest <"$bo_note.end"; } 2>/dev/null || :
  [ "$bo_rest" = end ]
}

# What the note says.
bo_look() {
  if bo_ended; then bo_word=ended
  elif bo_read; then
    if [ "$bo_pid" = void ]; then bo_word=void
    elif bo_alive; then bo_word=running
    else bo_word=lost; fi
  elif [ -e "$bo_note.start" ]; then bo_word=lost
  else bo_word=absent; fi
}

# Whether the lease is ours, where there is one; if not, whose it is.
bo_ours() {
  [ -n "$bo_token" ] || return 0
  bo_holder=; { IFS= read -r bo_holder <"$bo_lock/token"; } 2>/dev/null || :
  [ "$bo_holder" != "$bo_token" ] || return 0
  bo_pid=; { IFS= read -r bo_pid <"$bo_lock/run"; } 2>/dev/null || :
  return 1
}

# Where text waits before it is put into the file $1: within the lease, so that whoever takes the
# lease takes it along.
bo_stage() {
  bo_new=$bo_lock/put.$$
  [ -n "$bo_token" ] || { bo_new=$1.new; [ -d "${1%/*}" ] || mkdir -p "${1%/*}"; }
}

# Put it there, under the lease until the last moment: whoever was stopped after that finds nothing
# to put any more.
bo_put() {
  sync "$bo_new" 2>/dev/null || sync
  bo_ours || { rm -f "$bo_new"; echo "the lease is another run's by now: ${bo_pid:-?}" >&2; return 1; }
  [ ! -d "$1" ] || { rm -f "$bo_new"; echo "$1 is a directory" >&2; return 1; }
  mv -f "$bo_new" "$1" || return
  sync "${1%/*}" 2>/dev/null || sync
}

# A command that has begun is not looked after for as long as it may take (bo_wait): nobody renews
# meanwhile, and whoever ends it then, or sees that it was killed, still holds the host.
# The line is put over the one before it, which is as long: so a full disk has room for it, and
# where it cannot be written the one before it still stands.
bo_renew() {
  bo_clock
  { printf '%s %012d %06d\n' "$bo_boot" $((bo_now + bo_ttl + ${bo_wait:-0})) "$bo_ttl" \
    1<>"$bo_lock/expires"; } 2>/dev/null
}

# Make the note, once and for all. Whoever is to begin looks for the word that it never began,
# after the start is written; whoever gives that word looks for a start afterwards.
bo_claim() {
  bo_word=run bo_new=
  [ -d "$bo_folder" ] || (umask 077; mkdir -p "$bo_folder") 2>/dev/null
  bo_started $$; bo_booted
  set -C; { printf '' >"$bo_note.start"; } 2>/dev/null && bo_new=1; set +C
  if [ -z "$bo_new" ]; then
    bo_look
    [ $bo_word != absent ] || bo_word=full
  elif ! bo_sign; then
    bo_word=full; rm -f "$bo_note.start"
  elif [ -e "$bo_note.void" ]; then
    bo_give_up void
  fi
}

bo_sign() {
  bo_me="$$ $bo_boot $bo_start $bo_step"
  { echo "$bo_me" >|"$bo_note.start"; } 2>/dev/null && return
  { printf '' >|"$bo_folder/spare"; echo "$bo_me" >|"$bo_note.start"; } 2>/dev/null
}

# What the run has on record so far, for whoever has to end it from another machine. The file is
# made with the lease, so that it is private.
bo_keep() {
  [ -n "$bo_lines" ] || return 0
  { printf '%s\n' "$bo_lines" >>"$bo_folder/mirror"; } 2>/dev/null && return
  { printf '' >|"$bo_folder/spare"; printf '%s\n' "$bo_lines" >>"$bo_folder/mirror"; } 2>/dev/null
}

bo_give_up() { bo_word=$1; { echo void >|"$bo_note.start"; } 2>/dev/null; }

# Whoever takes the host away looks for commands that are alive afterwards: so whether the host
# is ours is asked once more when the note is made.
bo_begin() {
  bo_word=fenced bo_pid=
  bo_ours || return
  bo_keep || { bo_word=full; return; }
  bo_claim
  [ $bo_word = run ] || return
  bo_ours || { bo_give_up fenced; return; }
  [ -z "$bo_token" ] || { { echo "$bo_step" >>"$bo_lock/step"; } 2>/dev/null; bo_renew; }
}

bo_end() {
  { echo "$bo_code end" >"$bo_note.end"; } 2>/dev/null
  bo_wait=0
  [ -z "$bo_token" ] || ! bo_ours || bo_renew
}

bo_say() {
  trap '' PIPE; echo "$bo_mark $$ $*"; [ "$bo_kept" ] || echo "$bo_mark $$" >&2; trap - PIPE
}

bo_show() {
  [ ! -s "$bo_note.out" ] || head -c "$bo_limit" "$bo_note.out"
  [ ! -s "$bo_note.err" ] || head -c "$bo_limit" "$bo_note.err" >&2
}
