# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# Take the lease, all rules kept: 73 a later process of this run was here, 74 another machine has
# taken this run over (how often, and by which claim, is what epoch says), 75 another holds it, 76
# another run was here since, 78 this very acquisition has it, for another entry of the inventory,
# 79 a command of another run is alive here.
# The caller gives token, run, notes (the run's folder), host, name (that as a file's name), owner,
# ttl, began (not empty when the run was here before), epoch, claim, turn (how often the run was gone
# on with), spare (a size), record (a file), days and few.

# The directories above are the service's own; only what is ours is private. But nobody else may put
# anything in its place, whatever the login lets them.
case $home in */.backout/*) above=${home%%/.backout/*} ;; *) above=${home%/*} ;; esac
[ -d "${above:-/}" ] || (umask o-w; mkdir -p -- "$above")
umask 077
new=$home/lock.$token.$name mine=$home/notes/$notes took=
ready=$mine/ready.$epoch.$turn
leave() { rm -rf "$new" || :; exit "$1"; }

tidy
count=0 last=; [ ! -e "$home/fence" ] || read -r count last <"$home/fence" || :
count=$((${count:-0} + 1))

seen=0 its= who=; [ ! -e "$mine/epoch" ] || read -r seen its who <"$mine/epoch" || :
if [ "$seen" -gt "$epoch" ] || { [ "$seen" -eq "$epoch" ] && [ "$its" != "$claim" ]; }; then
  echo "$who"; exit 74
fi

# Of a run's own processes the later one holds the host, whenever the command of an earlier one
# arrives. The later one puts itself on record, then removes the token that an earlier one has ready;
# that one looks for such a record when its token is ready, and only then puts it in place.
later() {
  for at in "$mine"/turn.*; do
    [ ! -e "$at" ] || ! beyond "${at#"$mine/turn."}" "$epoch.$turn" || return 0
  done
  return 1
}
beyond() {
  [ "${1%.*}" -gt "${2%.*}" ] || { [ "${1%.*}" -eq "${2%.*}" ] && [ "${1#*.}" -gt "${2#*.}" ]; }
}
! later || exit 73

if [ -n "$began" ] || [ -e "$mine/boot" ]; then
  if [ ! -d "$home/lock" ] && [ -n "$last" ] && [ "$last" != "$run" ]; then echo "$last"; exit 76; fi
fi

if [ "$turn" -gt 0 ]; then
  mkdir -p "$mine" && printf '' >"$mine/turn.$epoch.$turn" || exit 1
  for at in "$mine"/ready.*; do
    [ ! -e "$at" ] || ! beyond "$epoch.$turn" "${at#"$mine/ready."}" || rm -f "$at"
  done
fi

# In a checkout, `git clean` goes round what looks like a repository of its own, and `git status`
# is not to show it.
[ -s "$home/.git/HEAD" ] || {
  mkdir -p "$home/.git/objects" "$home/.git/refs" && echo 'ref: refs/heads/none' >"$home/.git/HEAD"
}
checkout=$home
while checkout=${checkout%/*}; [ -n "$checkout" ] && [ ! -d "$checkout/.git" ]; do :; done
if [ -n "$checkout" ] && [ -d "$checkout/.git/info" ]; then
  entry=${home#"$checkout"}/ known=
  if [ -e "$checkout/.git/info/exclude" ]; then
    while IFS= read -r line; do [ "$line" != "$entry" ] || known=1; done <"$checkout/.git/info/exclude"
  fi
  [ -n "$known" ] || echo "$entry" >>"$checkout/.git/info/exclude"
fi

on_disk() { sync "$@" 2>/dev/null || sync; }

# All that needs room is written beside the lease, and is on the disk, before anything takes its
# place: a directory on the disk whose files are not is what a power cut leaves of a lease
# otherwise, nobody's, for ever.
write() {
  mkdir -p "$home/notes" "$new" || return
  bo_lock=$new bo_ttl=$ttl
  echo "$owner" >"$new/owner" && echo "$run" >"$new/run" && echo "$host" >"$new/host" &&
    printf '' >"$new/since" && bo_renew && echo "$count" >"$new/fence" &&
    echo "$count $run" >"$new/count" && echo "$count $last" >"$new/back.$token" &&
    { [ "$epoch" -eq 0 ] || echo "$epoch $claim $owner" >"$new/epoch"; } &&
    echo "$token" >"$new/token" && on_disk "$new"/* "$new"
}

# The notes that the run has here from now on.
begin_notes() {
  mark || return
  [ -e "$mine/mirror" ] || printf '' >"$mine/mirror" || return
  [ -e "$mine/spare" ] || printf "%${spare}s" '' >"$mine/spare" || { rm -f "$mine/spare"; return 1; }
}

# The same lease, for this process from now on: with its token, whatever becomes of the rest. Who
# was here before stays who that was.
retake() {
  rm -f "$new"/back.* && mv -f "$new/token" "$ready" && ! later || return
  mv -f "$ready" token && mv -f "$new"/* . || return
  rm -rf ./put.* taken "$new" || :
}

# The directory appears whole or not at all.
bo_booted
write || leave 1
if [ ! -d "$home/lock" ]; then
  if mv -T "$new" "$home/lock" 2>/dev/null; then took=1
  elif mkdir "$home/lock" 2>/dev/null && cd "$home/lock"; then
    if mv "$new"/* .; then took=1; rm -rf "$new"; else clear_away || :; leave 1; fi
  fi
fi

# From here on it is this very lease, not one that stands in its place a moment later: what is
# removed meanwhile takes nothing more.
cd "$home/lock" 2>/dev/null || { show "$notes"; leave 75; }
if [ -z "$took" ]; then
  held=; { IFS= read -r held <run; } 2>/dev/null || :
  if [ "$held" != "$run" ]; then show "$notes"; leave 75; fi
  by=; { IFS= read -r by <token; } 2>/dev/null || :
  if [ "$by" = "$token" ]; then IFS= read -r by <host; echo "$by"; leave 78; fi
fi

# A lease is not a clock: what is alive here holds the host, whoever let go of it. Looked for
# after the lease was taken, for what has not begun by then will not.
alive=$(living "$notes")
if [ -n "$alive" ]; then
  [ -z "$took" ] || vanish || :
  echo "$alive"; leave 79
fi
begin_notes || { [ -z "$took" ] || vanish || :; leave 1; }
[ -n "$took" ] || retake || {
  rm -f "$ready"; ! later || leave 73
  [ -e run ] || show "$notes"; [ -e run ] || leave 75; leave 1
}

# From here on nothing needs room.
mv -f count "$home/fence"
[ ! -e epoch ] || mv -f epoch "$mine/epoch"

set -- "$home"/notes/*
[ $# -le "$few" ] || find "$home/notes" -mindepth 1 -maxdepth 1 -type d ! -name "$notes" \
  -mtime "+$days" -exec rm -rf {} + 2>/dev/null || :

# What a shell left that was killed before it had a lease. Others may be preparing theirs.
set -- "$home"/lock.*.*
[ ! -e "$1" ] || find "$home" -mindepth 1 -maxdepth 1 -type d -name 'lock.*.*' \
  -mtime "+$days" -exec rm -rf {} + 2>/dev/null || :

# On the disk before the first step acts.
on_disk "$mine"/* "$mine" ./* . "$home/fence" "$home/notes" "$home"

# Which machine this is: its kernel, the name that it goes by, and where its server listens.
# (Containers of one machine share the kernel.)
kernel=; { IFS= read -r kernel </proc/sys/kernel/random/boot_id; } 2>/dev/null || :
called=; { IFS= read -r called </proc/sys/kernel/hostname; } 2>/dev/null || :
set -- $SSH_CONNECTION
echo "$kernel $called ${3:--} ${4:--}"

# And what is on record here, for the run that has it now.
{ while IFS= read -r line || [ -n "$line" ]; do echo "$line"; done <"$home/$record"; } 2>/dev/null || :
