"""Every test of a rule of the contract runs against the model and against the engine."""

from functools import partial

import pytest

from schemas.halted import DATA_SCHEMA
from tests.contract.vocabulary import MakeSubject
from tests.engine import Engine
from tests.model import Model


@pytest.fixture(params=["model", "engine"])
def make_subject(request: pytest.FixtureRequest) -> MakeSubject:
    """Make what is asked: a model or an engine, with the parameters that both have."""
    return Engine if request.param == "engine" else partial(Model, dataschema=DATA_SCHEMA)
