# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# What became of a command. What never began is declared void first, so that a command still on
# its way cannot begin later, beside whatever is done instead. And only the mark that the run made
# when it first came to this machine, in this boot of it, can say that there never was a note.
bo_booted
if ! bo_read; then
  [ -d "$bo_folder" ] || (umask 077; mkdir -p "$bo_folder") 2>/dev/null
  { printf '' >"$bo_note.void"; } 2>/dev/null
fi
bo_look
bo_was=; { IFS= read -r bo_was <"$bo_folder/boot"; } 2>/dev/null
case $bo_word in
void) bo_word=none ;;
absent)
  bo_word=lost
  if [ -e "$bo_note.void" ] && [ "$bo_was" = "$bo_boot" ]; then bo_word=none; fi ;;
esac
bo_say $bo_word $bo_pid
[ $bo_word = none ] || bo_show
exit ${bo_code:-0}
