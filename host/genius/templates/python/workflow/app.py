"""Asks the run's default model what the arguments say, and streams the reply."""

from typing import List

import wit_world
from componentize_py_types import Err
from wit_world.imports import types
from wit_world.imports.cortex import Session
from wit_world.imports.reply import Fragment_Content, Fragment_Thought, emit


class WitWorld(wit_world.WitWorld):
    async def run(self, args: List[str]) -> None:
        prompt = " ".join(args)
        if not prompt.strip():
            raise Err(types.Failure_Usage("it takes a prompt: WORDS…"))
        try:
            finish = await ask(prompt)
        except Err as e:
            # A host function failed.
            raise Err(types.Failure_Host(e.value)) from e
        if isinstance(finish, types.FinishReason_Failed):
            raise Err(types.Failure_Host(types.Error_Engine(finish.value)))


async def ask(prompt: str) -> types.FinishReason:
    """Puts the question and says what the model answers as it comes."""
    finish: types.FinishReason = types.FinishReason_Cancelled()
    # The empty name is the run's default model. No settings: every choice is left to the
    # model's and the host's defaults.
    with await Session.open("") as session:
        turn = types.Turn(types.Role.USER, prompt)
        with await session.infer([turn], []) as inference, inference.events() as events:
            while not events.writer_dropped:
                fragments = []
                for event in await events.read(256):
                    match event:
                        case types.InferenceEvent_Content(text):
                            fragments.append(Fragment_Content(text))
                        case types.InferenceEvent_Thought(thought):
                            fragments.append(Fragment_Thought(thought))
                        case types.InferenceEvent_Complete(completion):
                            finish = completion.finish
                # One call a batch: a call costs more than the words in it.
                emit(fragments)
    return finish
