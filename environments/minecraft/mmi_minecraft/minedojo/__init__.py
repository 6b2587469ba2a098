"""MineDojo: its tasks, in its simulator, which runs in a Python environment and a process of its own."""
