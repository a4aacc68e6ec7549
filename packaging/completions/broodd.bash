# SPDX-License-Identifier: MIT
#
# Completion of broodd's command line for bash; the options are those that it names itself.

_broodd() {
        local typed=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} known
        COMPREPLY=()
        known=$("${COMP_WORDS[0]/#\~/$HOME}" --help 2>/dev/null | grep -oE -e '--[a-z-]+=?')
        if [[ $typed == = ]]; then
                typed=
        elif [[ $option == = ]]; then
                option=${COMP_WORDS[COMP_CWORD-2]}
        fi
        case $option in
        --log-level)
                mapfile -t COMPREPLY < <(compgen -W 'debug info notice warning error' -- "$typed")
                ;;
        --config | --*-directory)
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -d -- "$typed")
                ;;
        --socket)
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$typed")
                ;;
        *)
                mapfile -t COMPREPLY < <(compgen -W "$known" -- "$typed")
                [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
                ;;
        esac
} 2>/dev/null

complete -F _broodd broodd
