# Bash completion of cltrain. The test `options` compares it with `cltrain --help` and the manual pages.
_cltrain() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='train eval predict devices ops bench graph cache'
    local common='--device --json --help' options='' words=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
        return
    fi
    case $previous in
    --data) words=builtin ;;
    --optimizer) words='sgd adam adamw' ;;
    --device) words=':cpu :gpu :accelerator' ;;
    --epochs | --batch | --lr | --seed | --limit | --checkpoint-every) return ;;
    esac
    if [[ $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        [[ $previous == --data ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$word")
        return
    fi
    case ${COMP_WORDS[1]} in
    train)
        options="$common --data --epochs --batch --lr --optimizer --seed --checkpoint-every --out
            --resume lenet mlp"
        ;;
    eval) options="$common --data" ;;
    predict) options="$common --limit" ;;
    devices | ops) options='--json --help' ;;
    cache) options='info clear --json --help' ;;
    graph) options='--text --dot --program --training --device --help lenet mlp' ;;
    bench)
        options="$common fma-peak copy matmul-512 matmul-1024 matmul-2048 conv3x3-64-56-b16
            conv3x3-64-56-b16-train step-mlp-b128 step-lenet-b64"
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    [[ $word == -* ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _cltrain cltrain
