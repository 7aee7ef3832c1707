"""Learn to write like Shakespeare, a character at a time, and write.

Tiny Shakespeare comes with the package. A network reads it by segments of 100 characters, its state
carried from each to the next, and learns which character follows. Then it writes: a character is
drawn from its answer, by a temperature, and handed back to a `Streamer`, which carries the state.

What is to be seen: far fewer bits per character than the frequencies of characters alone need, and
a text that has words, lines and speakers, if little sense. Half a minute on one core; with --quick
some seconds. `--run results/shakespeare/short-shakespeare-seed1` writes with a larger network that
was trained on the command line.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from lipschitz_rnn import LanguageModel, LipschitzRNN, Streamer
from lipschitz_rnn.data import SymbolStream
from lipschitz_rnn.data.shakespeare import load_shakespeare, read_shakespeare
from lipschitz_rnn.data.text import Vocabulary
from lipschitz_rnn.experiments import load_trained


def train(stream: SymbolStream, hidden_size: int, updates: int) -> LanguageModel:
    """Read the text, 32 stretches side by side, as often as there are updates for."""
    torch.manual_seed(0)
    rnn = LipschitzRNN(32, hidden_size, step_size=0.5, beta=0.8, gamma_a=0.5, batch_first=True)
    model = LanguageModel(rnn, stream.vocabulary)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=updates)
    plan = stream.plan(32)
    state = None
    for update in range(updates):
        if update % len(plan) == 0:
            state = None  # the text begins again
        batch = stream.batch(plan[update % len(plan)])
        logits, state = model(batch.input, state)
        loss = cross_entropy(logits.flatten(0, 1), batch.target.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        state = state.detach()
        if (update + 1) % max(1, updates // 5) == 0:
            print(f"  update {update + 1}: {loss.item() / math.log(2):.2f} bits per character")
    return model.eval()


@torch.no_grad()
def bits_per_character(model: LanguageModel, stream: SymbolStream) -> float:
    """On a text that it did not learn from."""
    total, state = 0.0, None
    for segment in stream.plan(10):
        batch = stream.batch(segment)
        logits, state = model(batch.input, state)
        total += cross_entropy(logits.flatten(0, 1), batch.target.flatten(), reduction="sum").item()
    return total / (len(stream) // 10 * 10) / math.log(2)


def write(
    model: LanguageModel, letters: Vocabulary, start: str, count: int, temperature: float
) -> str:
    """Go on from ``start``, one character after another."""
    streamer, generator = Streamer(model), torch.Generator().manual_seed(1)
    symbols = letters.encode(start, where="--start").long()
    logits = streamer.push_chunk(symbols, every_step=False)
    written = []
    for _ in range(count):
        odds = (logits / temperature).softmax(-1)  # towards 0: always the likeliest character
        symbol = torch.multinomial(odds, 1, generator=generator)[0]
        written.append(letters.symbols[symbol])
        logits = streamer.push(symbol)
    return start + "".join(written)


def main(arguments: Sequence[str] | None = None) -> dict[str, float | str]:
    """Train or load, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, for a test")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="write with a trained run")
    parser.add_argument("--start", default="ROMEO:\n", help="what the text begins with")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--characters", type=int, default=400)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    split = load_shakespeare(steps=100)
    if given.run:
        model = load_trained(given.run).model.eval()
    else:
        model = train(split.train, *(64, 100) if given.quick else (128, 1500))
    unigram = split.trivial["unigram"] / math.log(2)
    bits = bits_per_character(model, split.test)
    print(f"test: {bits:.2f} bits per character; frequencies of characters alone: {unigram:.2f}")
    letters = Vocabulary.of(read_shakespeare())
    text = write(model, letters, given.start, given.characters, given.temperature)
    print(f"\n{text}")
    return {"bits": bits, "unigram": unigram, "text": text}


if __name__ == "__main__":
    main()
