"""Asks the model what a case says, one user turn after the other, and reports the answers and
what it checked itself. What the fixture expects of an answer, the runner judges."""

from dataclasses import dataclass, field
from typing import List, Optional

import wit_world
from componentize_py_types import Err
from wit_world.imports import types
from wit_world.imports.cortex import Session
from wit_world.imports.reply import Fragment_Content, Fragment_Thought, emit
from wit_world.imports.scenarios import Check, Observation, TestCase


class WitWorld(wit_world.WitWorld):
    async def run_case(self, test_case: TestCase) -> Observation:
        try:
            return await observe(test_case)
        except Err as e:
            # A host function failed.
            raise Err(types.Failure_Host(e.value)) from e


@dataclass
class Answer:
    """One answer, as it was seen."""

    text: str = ""
    thoughts: str = ""
    calls: List[types.ToolCall] = field(default_factory=list)
    # The completions that the stream gave: one, if all is well.
    ends: List[types.Completion] = field(default_factory=list)


async def observe(case: TestCase) -> Observation:
    answers = []
    with await Session.open(case.model) as session:
        for turns in rounds(case.turns):
            answers.append(await ask(session, turns, case.config))

    silent = any(not answer.text and not answer.calls for answer in answers)
    ragged = any(len(answer.ends) != 1 for answer in answers)
    checks = [
        check("it says something", "an answer is empty" if silent else None),
        check("one end each", "an answer has none, or several" if ragged else None),
    ]

    last = answers[-1] if answers else Answer()
    # Until the stream says otherwise.
    finish: types.FinishReason = types.FinishReason_Failed(types.EngineError.BACKEND_FAILED)
    if last.ends:
        finish = last.ends[-1].finish
    return Observation(
        answer=last.text,
        thoughts=last.thoughts,
        calls=last.calls,
        finish=finish,
        usage=total([end.usage for answer in answers for end in answer.ends]),
        checks=checks,
        earlier=[answer.text for answer in answers[:-1]],
    )


async def ask(session: Session, turns: List[types.Turn], config: List[types.Setting]) -> Answer:
    """One generation: says what comes, and gathers it."""
    answer = Answer()
    with await session.infer(turns, config) as inference, inference.events() as events:
        while not events.writer_dropped:
            fragments = []
            for event in await events.read(256):
                match event:
                    case types.InferenceEvent_Content(text):
                        answer.text += text
                        fragments.append(Fragment_Content(text))
                    case types.InferenceEvent_Thought(thought):
                        if isinstance(thought, types.ThoughtEvent_Delta):
                            answer.thoughts += thought.value
                        fragments.append(Fragment_Thought(thought))
                    case types.InferenceEvent_ToolCall(call):
                        answer.calls.append(call)
                    case types.InferenceEvent_Complete(completion):
                        answer.ends.append(completion)
            emit(fragments)
    return answer


def rounds(turns: List[types.Turn]) -> List[List[types.Turn]]:
    """What is said at once: a user turn ends it, and the model answers before the next."""
    found: List[List[types.Turn]] = [[]]
    for turn in turns:
        found[-1].append(turn)
        if turn.role == types.Role.USER:
            found.append([])
    return [said for said in found if said]


def check(name: str, fault: Optional[str]) -> Check:
    """A check that held unless there is a fault."""
    return Check(name, fault is None, fault or "")


def total(usages: List[types.Usage]) -> types.Usage:
    return types.Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        thought_tokens=sum(usage.thought_tokens for usage in usages),
        prefill_us=sum(usage.prefill_us for usage in usages),
        decode_us=sum(usage.decode_us for usage in usages),
    )
