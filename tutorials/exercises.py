"""The exercises of the course: ``check("1a", answer)`` says that an answer is right, or what to think about."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """A question with one answer.

    Args:
        answer: a number, or a word in small letters.
        why: what is said of the right answer.
        hint: what is said of any other.
        hints: (wrong answer, what to think about) of those that people give.
        close: how far from the number an answer may be, as a part of it.
    """

    answer: float | str
    why: str
    hint: str
    hints: tuple[tuple[float, str], ...] = ()
    close: float = 0.01

    def says(self, given: Any) -> str:
        """What there is to say of an answer."""
        if given is None or given is ...:
            return "Not answered yet: put your answer in place of the dots, and run the cell again."
        if isinstance(self.answer, str):
            right = isinstance(given, str) and given.strip().lower() == self.answer
            return f"Right. {self.why}" if right else f"Think again. {self.hint}"
        try:
            number = float(given)
        except (TypeError, ValueError):
            return f"A number is asked for, got {given!r}."
        if self._is_close(number, self.answer):
            return f"Right. {self.why}"
        return "Think again. " + next((text for wrong, text in self.hints if self._is_close(number, wrong)), self.hint)

    def _is_close(self, given: float, wanted: float) -> bool:
        return math.isclose(given, wanted, rel_tol=self.close, abs_tol=1e-9)


def check(name: str, answer: Any) -> None:
    """Print whether an answer is right, or what to think about.

    Args:
        name: of the exercise, as it stands above the cell: a number of a tutorial and a letter.
        answer: yours.

    Raises:
        ValueError: for an exercise that there is not.

    >>> check("1a", 0.5)
    Think again. Half of Z is missing: what does that do to its logarithm?
    >>> check("1a", 0.693)
    Right. ln(Z/2) = ln Z - ln 2, however perfect the rest is.
    """
    if name not in EXERCISES:
        raise ValueError(f"name must be one of {', '.join(EXERCISES)}, got {name!r}")
    print(EXERCISES[name].says(answer))


def _kaufman(T: float) -> float:
    """ln Z of 8 x 8 spins, exact."""
    from flowlab.exact import kaufman

    return float(kaufman((8, 8), beta=1 / T).log_z)


class _AtHotter(Exercise):
    """F/N of 8 x 8 spins at T = 3.2, worked out where it is asked for."""

    def __init__(self) -> None:
        why = "It is below that of T = 2.5: F falls with T, by the entropy."
        super().__init__(0.0, why, "Is it F = -T ln Z, of 64 spins?", (), 1e-3)

    def says(self, given: Any) -> str:
        log_z = _kaufman(3.2)
        F = -3.2 * log_z
        hints = (
            (F, "That is F of all 64 spins; F/N is asked for."),
            (-F / 64, "Mind the sign: F = -T ln Z."),
            (log_z / 64, "That is ln Z per spin: F = -T ln Z."),
            (log_z, "That is ln Z: F = -T ln Z, and F/N is asked for."),
        )
        return Exercise(F / 64, self.why, self.hint, hints, self.close).says(given)


EXERCISES: dict[str, Exercise] = {
    "1a": Exercise(
        math.log(2),
        "ln(Z/2) = ln Z - ln 2, however perfect the rest is.",
        "The weights average to the Z of what is visited: which part of Z is that?",
        (
            (0.5, "Half of Z is missing: what does that do to its logarithm?"),
            (-math.log(2), "By how much is it too low: a positive number."),
            (2.0, "Z is a factor of 2 too small: what does that do to its logarithm?"),
        ),
    ),
    "1b": Exercise(
        10_000,
        "An error shrinks as one over the root of that number, not of the 20,000.",
        "The ESS is the share of the draws that independent ones of p would be worth.",
        ((0.5, "That is the share: of how many?"), (40_000, "Weights make draws worth less, not more.")),
    ),
    "1c": _AtHotter(),
    "2a": Exercise(
        6,
        "Two of three bonds are pleased, in 3 ways, and each way has its mirror image.",
        "Write down all 8: in how many do exactly two of the three pairs differ?",
        ((2, "All bonds +1 have 2 of them. With -1, can all three pairs differ?"), (3, "And their mirror images?")),
    ),
    "2b": Exercise(
        0.52,
        "Both in A, or both in B: 0.6² + 0.4²; the mirror images do not matter to |q|.",
        "Both copies must be in the same valley: in which ways can that come about?",
        ((0.48, "That is the probability of two different valleys."), (0.6, "And what if both are in B?")),
    ),
    "2c": Exercise(
        -math.log(0.62),
        "ln Z is missing -ln(1 - 0.38): less than half a nat for more than a third of all configurations.",
        "Which part of Z do the weights see, and what is its logarithm?",
        ((0.38, "That is the part of Z that is missing: what does it do to ln Z?"),
         (-math.log(0.38), "The valley that is seen has a share of 0.62."),
         (math.log(0.62), "By how much is it too low: a positive number.")),
    ),
    "3a": Exercise(
        2,
        "m² = 1, and the mask reads only spins that the layer does not touch.",
        "What does it do to a spin of B to be multiplied by m twice, with the same m?",
        ((1, "Once flips them. How do they come back?"),),
    ),
    "3b": Exercise(
        10,
        "A bijection of a finite set hands probabilities on as they are: it cannot make entropy, nor destroy it.",
        "A bijection gives every configuration the probability of its latent: which terms does the entropy sum?",
        ((0, "The layer is deterministic, but its input is not."),),
    ),
    "3c": Exercise(
        1 / (1 + math.exp(-2.0)),
        "It goes against its field in 12 % of all cases; one independent bit has the same noise at every field.",
        "p(up)/p(down) is exp(2h/T), with h = 4 neighbours up.",
        ((math.tanh(1.0), "That is the mean of the spin: up with (1 + mean)/2."),
         (1 / (1 + math.exp(2.0)), "That is the probability of down.")),
    ),
    "4a": Exercise(
        4 * math.log(2),
        "The map spreads the density over a volume 2⁴ times larger, so ln q is lower by that.",
        "The Jacobian is a diagonal matrix: what is its determinant?",
        ((math.log(2), "Each of the four numbers is stretched."), (16, "That is the determinant: and its logarithm?"),
         (2, "What is the determinant of four times 2, and its logarithm?"),
         (-4 * math.log(2), "ln|det| itself is positive: the map stretches.")),
    ),
    "4b": Exercise(
        0.75,
        "And about ½ A^-2.48 = 0.87 for typical models: rejections come in runs.",
        "See the inequality in section 5: it has nothing but A.",
        ((1.25, "That is 1/A: independent draws have ½."),),
    ),
    "4c": Exercise(
        18,
        "The other 18 are drawn exactly, given these.",
        "How many sites of a checkerboard have one colour?",
        ((36, "That is the whole lattice; which sites are integrated out?"), (6, "That is L.")),
    ),
    "5a": Exercise(
        2**-0.5 * 2**-0.25,
        "A power law has no length of its own: every step costs the same factor.",
        "At T_c each step of blocking takes a factor of 2^-1/4.",
        ((2**-0.5, "That is before blocking."), (2**-0.5 * 0.5, "The factor is 2 to the power of -1/4.")),
    ),
    "5b": Exercise(
        "disorder",
        "K' = ⅜ ln cosh 2 = 0.497 < 0.5: each step makes it smaller, until nothing is coupled.",
        'Work out K\' from K = 0.5, and say "order" or "disorder".',
    ),
    "5c": Exercise(
        0.5**4,
        "32 × 32 is four times 16 × 16: errors of independent parts multiply.",
        "How many lattices of 16 × 16 fit into one of 32 × 32, and what do their errors do?",
        ((0.25, "The number of spins grows by 4, not by 2."), (0.125, "The number of spins grows by 4, not by 3.")),
    ),
    "6a": Exercise(
        3,
        "The fourth follows from the sum; the coarse field is the number that is missing.",
        "Four numbers with one condition.",
        ((4, "They sum to zero: can all four be chosen?"), (1, "The condition is one; what does it leave?")),
    ),
    "6b": Exercise(
        0.9,
        "All weights are wrong by the same factor, and it cancels: only ln Z shows it, by 16 ln 2.",
        "ESS = ⟨w⟩²/⟨w²⟩: what does a factor do that all weights share?",
        ((0.9 / 2**16, "The factor stands above and below in ⟨w⟩²/⟨w²⟩."),),
    ),
    "6c": Exercise(
        1024,
        "And one kernel for all of them: its weights do not know the size of the lattice.",
        "Each doubling doubles both sides.",
        ((32, "That is its side."), (128, "Both sides double."), (256, "That is after two doublings.")),
    ),
    "7a": Exercise(
        0.75,
        "Odd polynomials vanish there, and T_2 is -1.",
        "What are T_1 and T_2 at t = 0?",
        ((1.0, "T_2 is not 0 there."), (1.25, "T_2(0) = -1, not 1."), (1.75, "That is at the upper end, t = 1.")),
    ),
    "7b": Exercise(
        0.01 / (0.9e-4 + 0.1 * 0.02),
        "It was 100 before: a handful of such draws could no longer tell what they stand for.",
        "q of the mixture is 0.9 times one in 10,000, and 0.1 times 2 %.",
        ((100, "That is before the mixture."), (5.0, "Nearly: the model itself draws some, too."),
         (0.5, "Only one part in ten is drawn there.")),
        0.015,
    ),
    "7c": Exercise(
        1 / 0.9,
        "Insurance against what q misses, at a premium of a tenth.",
        "q_mixture is at least 0.9 q.",
        ((0.9, "That is the other way round: q_mixture/q."), (10, "That is for the other part.")),
    ),
}  # fmt: skip
