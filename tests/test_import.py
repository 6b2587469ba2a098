"""`import mmi_agent` loads none of its parts, and its names are all there."""

import subprocess
import sys

import mmi_agent

HEAVY = ("torch", "numpy", "transformers", "langchain", "chromadb", "playwright", "PIL", "pydantic", "rich", "typer")


def loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import mmi_agent") & set(HEAVY)


def test_the_loop_loads_no_model() -> None:
    loaded = loaded_by("from mmi_agent import Agent; import mmi_agent.testing, mmi_agent.agent.baselines")
    assert not loaded & set(HEAVY[:6])
    assert {"pydantic", "PIL"} <= loaded


def test_every_public_name_is_there() -> None:
    assert all(getattr(mmi_agent, name) for name in mmi_agent.__all__)
    assert set(mmi_agent.__all__) == set(mmi_agent._HOME)
    assert "Agent" in dir(mmi_agent)
