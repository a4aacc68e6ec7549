# SPDX-License-Identifier: MIT
#
# Completion of broodctl's command line for bash. What fits is asked of `broodctl complete line`,
# which knows its verbs and options, and asks the daemon for names; see daemon/ctl/complete.c.

# bash takes a line apart at each character of COMP_WORDBREAKS; this puts --option=value together
# again. Sets `words`, up to the one that is to be completed.
_broodctl_words() {
        local i word
        words=()
        for ((i = 1; i <= COMP_CWORD; i++)); do
                word=${COMP_WORDS[i]}
                if ((${#words[@]})) && [[ ${words[-1]} == --* && ( $word == = ||
                      ${COMP_WORDS[i-1]} == = ) ]]; then
                        words[-1]+=$word
                else
                        words+=("$word")
                fi
        done
        ((${#words[@]})) || words=("")
}

# A command behind broodctl's own words, of which the first is the $1-th word.
_broodctl_command() {
        if declare -F _command_offset >/dev/null; then
                _command_offset "$((COMP_CWORD - (${#words[@]} - 1) + $1))"
        elif (($1 == ${#words[@]} - 1)); then
                mapfile -t COMPREPLY < <(compgen -c -- "${words[-1]}")
        else
                compopt -o default
        fi
}

_broodctl_offer() {
        local line word value_of=
        [[ ${words[-1]} == --*=* && $COMP_WORDBREAKS == *=* ]] && value_of=${words[-1]%%=*}=
        while IFS= read -r line; do
                word=${line%%$'\t'*}
                printf -v word %q "${word#"$value_of"}"
                COMPREPLY+=("$word")
        done
        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == --*= ]] && compopt -o nospace
}

_broodctl() {
        local words kind argument typed
        COMPREPLY=()
        _broodctl_words
        typed=${words[-1]}
        [[ $typed == --*=* ]] && typed=${typed#*=}
        {
                read -r kind argument
                case $kind in
                words) _broodctl_offer ;;
                files)
                        compopt -o filenames
                        mapfile -t COMPREPLY < <(compgen -P "$argument" -f -- \
                                                         "${typed#"$argument"}")
                        ;;
                directories)
                        compopt -o filenames
                        mapfile -t COMPREPLY < <(compgen -d -- "$typed")
                        ;;
                command) _broodctl_command "$argument" ;;
                esac
        } < <("${COMP_WORDS[0]/#\~/$HOME}" complete line -- "${words[@]}" 2>/dev/null)
} 2>/dev/null

complete -F _broodctl broodctl
