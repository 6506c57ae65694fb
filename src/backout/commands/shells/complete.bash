# Completion of backout, and of invoke where its tasks are Backout's.
_backout_words=@WORDS@

_backout_complete() {
    local IFS=$'\n' found
    COMPREPLY=()
    found=$(@COMPLETER@ "$_backout_words" "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
    case $? in
        0) COMPREPLY=($found) ;;
        3) compopt -o default 2>/dev/null ;;
        4) COMPREPLY=($(compgen -W "$("$1" --complete -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "$2")) ;;
    esac
}

complete -F _backout_complete backout invoke inv
