# Completion of backout, and of invoke where its tasks are Backout's.
_backout_words=@WORDS@

_backout_complete() {
    local found
    found=$(@COMPLETER@ "$_backout_words" "${(@)words[1,CURRENT]}" 2>/dev/null)
    case $? in
        0) [[ -n $found ]] && compadd -- "${(@f)found}" ;;
        3) _files ;;
        4) compadd -- ${(f)"$($words[1] --complete -- $words 2>/dev/null)"} ;;
    esac
}

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _backout_complete backout invoke inv
