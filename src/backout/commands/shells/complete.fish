# Completion of backout, and of invoke where its tasks are Backout's.
set -g _backout_words @WORDS@

function _backout_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    @COMPLETER@ "$_backout_words" $before "$current" 2>/dev/null
    switch $status
        case 3
            __fish_complete_path "$current"
        case 4
            $before[1] --complete -- $before "$current" 2>/dev/null
    end
end

complete -c backout -f -a '(_backout_complete)'
complete -c invoke -f -a '(_backout_complete)'
complete -c inv -f -a '(_backout_complete)'
