"""What to do next with a scored customer, as a suggestion: write by machine, hand to a person, or leave alone.

The three-touch rule: whoever has been sent three messages since the last answer is handed to a person; a fourth message
is likely to be the third more than was wanted. It reads feature rows, not the model.
"""

from collections.abc import Sequence

import numpy as np

from serving.contract.scores import NextStep
from serving.desk.picked import Picked

__all__ = ["next_steps"]

TOUCHES = 3
UNANSWERED, REFUSED, REPLIED = "contacts_unanswered_in_a_row", "days_since_opt_out", "days_since_reply"

AUTOMATIC = NextStep("automatic", "Worth a message: grade {}", "适合自动触达：{}级")
STEPS = {
    grade: NextStep("automatic", AUTOMATIC.en.format(grade), AUTOMATIC.zh.format(grade)) for grade in "AB"
}
HUMAN = NextStep(
    "human",
    "Three messages or more without an answer: let a person call",
    "连续三次及以上触达未回复：请转人工跟进",
)
LOW = NextStep("none", "Grade C: no contact is worth it now", "C级：目前无需触达")
NO_CONTACT = NextStep("none", "The customer has refused contact", "客户已退订，请勿触达")


def next_steps(rows: Picked, grades: Sequence[str]) -> list[NextStep]:
    """One suggestion per row. Where no messages are recorded the rule has nothing to say, and the grade decides. A refusal
    holds until a later answer."""
    unanswered, refused, replied = (rows.numbers(name) for name in (UNANSWERED, REFUSED, REPLIED))
    closed = ~np.isnan(refused) & ~(replied < refused)
    return [
        NO_CONTACT if shut else LOW if grade == "C" else HUMAN if silent >= TOUCHES else STEPS[grade]
        for shut, silent, grade in zip(closed.tolist(), unanswered.tolist(), grades, strict=True)
    ]
