"""Log files that are rotated: what was written last, wherever it stands by now."""

TAIL = r"""
# tail_of FILE LINES: the last lines that were written to it, on from the two files that were
# rotated away last, by whatever names logrotate and pm2-logrotate give.
tail_of() {
  if [ -e "$1" ]; then have=$(wc -l <"$1") || return 1; else have=0; fi
  [ "$have" -ge "$2" ] || rotated "$1" | tail -n "$(($2 - have))"
  [ ! -e "$1" ] || tail -n "$2" "$1"
}
# rotated FILE: api.log.1, api.log-20240130, api-20240130.log, api__2024-01-30.log, api.1.log
rotated() {
  name=${1%.*} ending=${1##*.}
  ls -td "$1".[0-9]* "$1"-[0-9][0-9][0-9][0-9][-0-9]* "$name".[0-9]*."$ending" "${name}__"* \
    "$name"-[0-9][0-9][0-9][0-9][-0-9]*."$ending" 2>/dev/null | awk '!seen[$0]++' | {
    read -r newest || :
    read -r older || :
    opened "$older"
    opened "$newest"
  }
}
opened() {
  case $1 in
    *.gz) gzip -dc "$1" ;;
    *.xz) xz -dc "$1" ;;
    *.bz2) bzip2 -dc "$1" ;;
    *.zst) zstd -dcq "$1" ;;
    ?*) cat "$1" ;;
  esac 2>/dev/null || :
}
"""
"""Shell text. What cannot be opened is left out: then the lines do not go on from those before."""
