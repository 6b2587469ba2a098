"""`python -m mmi_agent.cli` is `mmi`."""

from mmi_agent.cli import main

if __name__ == "__main__":  # worker processes import this file as well
    main()
