# Bash completion of cltrain. The test `options` compares it with `cltrain --help` and the manual pages.
_cltrain() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='train eval predict sample word2vec nearest compare landscape devices ops bench tune graph summary models cache'
    local models='perceptron linear_regression logistic_regression softmax_regression approximator
        mlp maxout deep_mlp_sigmoid deep_mlp_relu deep_mlp_batch_norm lenet5 lenet cnn alexnet
        vgg11_cifar vgg16 inception_v1 resnet20 resnet32 resnet56 resnet18 iris penguins auto_mpg
        linear_autoencoder autoencoder denoising_autoencoder sparse_autoencoder char_rnn char_lstm'
    local common='--device --json --help' options='' words=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
        return
    fi
    case $previous in
    --data) words=builtin ;;
    --optimizer) words='sgd adagrad adadelta rmsprop adam adamax nadam radam adamw lars lamb' ;;
    --schedule)
        words='constant step multi_step exponential power polynomial cosine cosine_restarts one_cycle'
        ;;
    --device) words=':cpu :gpu :accelerator' ;;
    --folds | --epochs | --batch | --accumulate | --memory-budget | --lr | --weight-decay | --seed | --limit | --checkpoint-every | --points | --range | --samples | --length | --temperature | --prompt | \
        --dimension | --window | --negative | --sample | --min-count | --vocabulary | --count) return ;;
    esac
    if [[ $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        [[ $previous == --data ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    case ${COMP_WORDS[1]} in
    train)
        options="$common --data --folds --epochs --batch --accumulate --memory-budget --lr --lr-find
            --optimizer --weight-decay --schedule --seed --checkpoint-every
            --init-from --fresh --freeze --out --resume $models"
        ;;
    eval) options="$common --data" ;;
    predict) options="$common --limit --layer --out" ;;
    sample) options="$common --length --temperature --prompt --seed" ;;
    word2vec)
        options="$common --out --dimension --cbow --window --negative --hierarchical --sample
            --min-count --vocabulary --epochs --batch --lr --seed"
        ;;
    nearest) options='--count --questions --json --help' ;;
    compare) options='--out --json --help' ;;
    landscape) options="$common --points --range --samples --seed --data" ;;
    devices | ops) options='--json --help' ;;
    cache) options='info clear --json --help' ;;
    graph) options="--text --dot --svg --program --training --device --help $models" ;;
    summary) options="--batch --json --help $models" ;;
    models) options="--json --help $models" ;;
    bench)
        options="$common --list --profile --trace --memory-budget"
        [[ $word == -* ]] || options+=" $(cltrain bench --list 2>/dev/null)"
        ;;
    tune)
        options="$common --fast --full --list --dry-run"
        [[ $word == -* ]] || options+=" tile matmul conv2d conv2d_backward_data
            conv2d_backward_weights pointwise"
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    [[ $word == -* ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _cltrain cltrain
