"""Lets every request run, loads what is asked for, and unloads a model as soon as nobody uses
it."""

from typing import List, Tuple

import wit_world
from componentize_py_types import Err
from wit_world.imports import brainstem
from wit_world.imports.brainstem import EventKinds, Residency


class WitWorld(wit_world.WitWorld):
    def configure(self, settings: List[Tuple[str, str]]) -> brainstem.Profile:
        for key, _ in settings:
            raise Err(f"there is no setting {key!r}: this policy has none")
        # It is asked about these, and hears of no others.
        events = (
            EventKinds.REQUEST_ARRIVED
            | EventKinds.MODEL_IDLE
            | EventKinds.MEMORY_PRESSURE
            | EventKinds.ENGINE_DIED
        )
        return brainstem.Profile("{{name}}", events, None, False)

    def decide(self, event: brainstem.Event, state: brainstem.State) -> List[brainstem.Command]:
        match event:
            case brainstem.Event_RequestArrived(arrival):
                request = arrival.request
                return [brainstem.Command_Admit(request.id), *load(request.model, state)]
            case brainstem.Event_ModelIdle(model):
                return [brainstem.Command_Unload(model)]
            case brainstem.Event_MemoryPressure(pressure):
                leaving = make_room(state.models(), pressure.needed)
                return [brainstem.Command_Unload(model) for model in leaving]
            case brainstem.Event_EngineDied(model):
                # Requests still wait for it, or it need not come back.
                known = state.model(model)
                if known is not None and known.waiting > 0:
                    return [brainstem.Command_Load(model)]
        return []


def load(model: int, state: brainstem.State) -> List[brainstem.Command]:
    """Brings the model into memory, unless it is there or on its way in."""
    known = state.model(model)
    if known is not None and known.residency in (Residency.LOADING, Residency.RESIDENT):
        return []
    return [brainstem.Command_Load(model)]


def make_room(models: List[brainstem.ModelState], needed: int) -> List[int]:
    """The models to take out, least recently used first, until enough becomes free. Only those
    that nobody uses or waits for."""
    idle = [
        model
        for model in models
        if model.residency == Residency.RESIDENT and model.users == 0 and model.waiting == 0
    ]
    leaving: List[int] = []
    freed = 0
    for model in sorted(idle, key=lambda model: (model.last_used, model.id)):
        if freed >= needed:
            break
        freed += model.memory
        leaving.append(model.id)
    return leaving
