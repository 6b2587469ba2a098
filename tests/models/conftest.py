import pytest
import torch

from mmi_agent.models.configs import tiny
from mmi_agent.models.mm_interleaved import MMInterleavedModel


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def model() -> MMInterleavedModel:
    """The toy, trained by nobody but with no part silent: gates are open, `ignore` is not zero."""
    model = MMInterleavedModel.build(tiny(), seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model.requires_grad_(False)
