"""Compares cltrain word2vec with a plain NumPy loop: pairs of words per second.

usage: bench_word2vec.py CLTRAIN TEXT [--dimension N] [--negative N] [--seconds S]

The loop is skip-gram with negative sampling as word2vec does it: one pair after the other, its negatives
drawn from a table in which frequent words are often. Both work on the same text, with the same length of vectors and number of negatives.
"""
import argparse
import collections
import json
import re
import subprocess
import tempfile
import time

import numpy as np


def read_words(path, least=5):
    """Numbers of the words, and how often each of them occurs."""
    with open(path, encoding="utf-8") as file:
        words = re.findall(r"[a-z0-9']+", file.read().lower())
    counts = [(word, n) for word, n in collections.Counter(words).most_common() if n >= least]
    number = {word: i for i, (word, _) in enumerate(counts)}
    return np.array([number[word] for word in words if word in number]), np.array([n for _, n in counts])


def make_pairs(tokens, counts, rng, window=5, threshold=1e-3):
    """Pairs of a word and one near it, frequent words left out at random."""
    keep = np.minimum(1, np.sqrt(threshold * counts.sum() / counts))
    tokens = tokens[rng.random(len(tokens)) < keep[tokens]]
    pairs = []
    for i, reach in enumerate(rng.integers(1, window + 1, len(tokens))):
        for j in range(max(0, i - reach), min(len(tokens), i + reach + 1)):
            if j != i:
                pairs.append((tokens[i], tokens[j]))
    return np.array(pairs)


def train_plainly(pairs, counts, dimension, negative, seconds, rng, lr=0.025):
    """Pairs per second of the loop."""
    share = counts ** 0.75
    table = np.repeat(np.arange(len(counts)), np.ceil(1e6 * share / share.sum()).astype(int))
    read = (rng.random((len(counts), dimension), dtype=np.float32) - 0.5) / dimension
    predicted = np.zeros((len(counts), dimension), np.float32)
    label = np.zeros(negative + 1, np.float32)
    label[0] = 1
    row = np.empty(negative + 1, int)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        first = done % len(pairs)
        for word, near in pairs[first:first + 1000]:
            row[0] = near
            row[1:] = table[rng.integers(len(table), size=negative)]
            x, out = read[word], predicted[row]
            slope = lr * (label - 1 / (1 + np.exp(-(out @ x))))
            step = slope @ out
            predicted[row] += np.outer(slope, x)
            read[word] += step
            done += 1
    return done / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cltrain")
    parser.add_argument("text")
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--negative", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="to run the loop for; default 5")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    tokens, counts = read_words(given.text)
    pairs = make_pairs(tokens, counts, rng)
    plain = train_plainly(pairs, counts, given.dimension, given.negative, given.seconds, rng)
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run([given.cltrain, "word2vec", given.text, "--out", folder + "/out", "--json",
                                 "--dimension", str(given.dimension), "--negative", str(given.negative)],
                                check=True, capture_output=True, text=True).stdout
    rate = [line["examples_per_second"] for line in map(json.loads, output.splitlines()) if "epoch" in line][-1]
    print(f"NumPy loop {plain:,.0f} pairs/s, cltrain {rate:,.0f} pairs/s: {rate / plain:.1f} times")


main()
